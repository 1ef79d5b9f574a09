import csv
import gzip
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from models.vocabulary.findings import Finding
from models.vocabulary.label_lists import LabelList, OwnLabel, find_label, labels_of, synonyms_of
from storage.public_datasets import DATASETS
from storage.readers.chexpert import OTHER_COLUMNS
from storage.readers.chexpert_cells import LABELS as CHEXPERT_LABELS
from storage.readers.chexpert_cells import NO_FINDING
from storage.readers.padchest import LABELS as PADCHEST_LABELS


def official(name: str) -> Iterator[dict[str, str]]:
    """Lines of an official label table, as torchxrayvision carries it."""
    found = find_spec("torchxrayvision")  # not imported: that takes 9 s and torch
    assert found is not None
    assert found.origin is not None
    with gzip.open(Path(found.origin).parent / "data" / name, "rt", encoding="utf-8") as file:
        yield from csv.DictReader(file)


@pytest.mark.parametrize("label_list", LabelList)
def test_labels_of_each_list_are_distinct_and_have_words(label_list: LabelList) -> None:
    labels = labels_of(label_list)
    assert labels
    assert len({label.value for label in labels}) == len(labels)
    for label in labels:
        assert label.term.strip()
        assert label.term not in synonyms_of(label)


def test_lists_are_those_of_the_registry() -> None:
    named = {name for dataset in DATASETS for name in dataset.label_lists}
    assert named == {label_list.value for label_list in LabelList}


def test_chexpert_list_is_the_official_header() -> None:
    columns = set(next(official("chexpert_train.csv.gz"))) - {*OTHER_COLUMNS, NO_FINDING}
    wanted = {CHEXPERT_LABELS.get(column, column) for column in columns}
    assert {label.value for label in labels_of(LabelList.CHEXPERT)} == wanted


def test_padchest_groups_are_labels_of_the_official_table() -> None:
    written = {value: name for name, value in PADCHEST_LABELS.items()}
    groups = (LabelList.PADCHEST_SEEN, LabelList.PADCHEST_UNSEEN, LabelList.PADCHEST_RARE)
    wanted = {written.get(label.value, label.value) for one in groups for label in labels_of(one)}
    missing = wanted | set(PADCHEST_LABELS)
    for line in official("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"):
        if line["MethodLabel"] == "Physician":
            missing = {label for label in missing if label not in line["Labels"]}
        if not missing:
            break
    assert missing == set()


def test_find_label_finding_own_words_and_unlisted() -> None:
    assert find_label("Effusion") is Finding.EFFUSION
    assert find_label("Foreign Object").term == "foreign object"
    assert find_label("Kerley lines") == OwnLabel("Kerley lines", "kerley lines")
