"""Named lists of labels to classify by, beyond the 14 findings, with their words in prompts."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding


class LabelList(StrEnum):
    """The lists of `label_lists.yaml`, and the 14 findings."""

    CHESTXRAY14 = "chestxray14"
    CHEXPERT = "chexpert"
    CHEXPERT_5 = "chexpert-5"
    PADCHEST_SEEN = "padchest-seen"
    PADCHEST_UNSEEN = "padchest-unseen"
    PADCHEST_RARE = "padchest-rare"
    RSNA = "rsna"
    SIIM = "siim"
    COVIDX = "covidx"
    OBJECT_CXR = "object-cxr"
    VINDR = "vindr"


@dataclass(frozen=True, slots=True)
class OwnLabel:
    """A label that is none of the 14 findings.

    Attributes:
        value: As corpora hold it.
        term: What it is called in prompts.
        synonyms: Other words for it.
    """

    value: str
    term: str
    synonyms: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.value  # as a finding's


Label = Finding | OwnLabel  # both have `value` and `term`


def labels_of(label_list: LabelList) -> tuple[Label, ...]:
    """The labels of a list, in its order."""
    if label_list is LabelList.CHESTXRAY14:
        return tuple(Finding)
    return tuple(find_label(value) for value in _data()["lists"][label_list.value])


def find_label(value: str) -> Label:
    """The label that corpora write so; one of no list is asked for by its own words."""
    if value in tuple(Finding):
        return Finding(value)
    terms = _data()["terms"].get(value, [value.lower()])
    return OwnLabel(value, terms[0], tuple(terms[1:]))


def synonyms_of(label: Label) -> tuple[str, ...]:
    """Other words for a label than its canonical term."""
    if isinstance(label, Finding):
        return load_vocabulary().of_finding(label).synonyms
    return label.synonyms


@cache
def _data() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        files(__package__).joinpath("label_lists.yaml").read_text(encoding="utf-8")
    )
    return found
