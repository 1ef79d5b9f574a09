"""What reports speak of: canonical terms, their synonyms, where they occur, what they contradict.

The data are YAML files beside this module: `anatomy.yaml`, `clinical_<region>.yaml` and
`denials.yaml`. Everything that names an entity (sampler, writers, taggers, painters) takes its
words from here; the revision hashes all of it into the plan.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml

from models.vocabulary.anatomy import Place, Side, expand_groups, read_places
from models.vocabulary.findings import Finding
from models.vocabulary.revisions import files_hash
from models.vocabulary.words import american, normalise, plural
from storage.records import EntityKind

_FILES = ("anatomy.yaml", "denials.yaml", "anatomy.py", "concepts.py", "words.py")


class Region(StrEnum):
    """Paragraph order of a report; each has its `clinical_<region>.yaml`."""

    DEVICES = "devices"
    HEART = "heart"
    LUNGS = "lungs"
    PLEURA = "pleura"
    BONES = "bones"


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing a report can speak of.

    Attributes:
        text: Canonical term, lower case.
        kind: Abnormality, disease or anatomy; never a `non-` kind.
        synonyms: Other words for it; all singular, plurals are understood by `lookup`.
        anatomies: Canonical anatomy terms it may be placed in; empty when it is not localised.
            The first one on a side is meant when a report says only "left" or "right".
        excludes: Canonical terms that contradict it when both are present in one report.
        gradable: Whether "mild", "moderate", "severe" make sense.
        finding: The ChestX-ray14 finding it is; None for all others.
        weight: Rough frequency (reports in a few thousand) for the built-in entity table.
        implies: Broader terms that are present whenever it is; to deny one of them beside it
            contradicts it.
        region: Where a report speaks of it; None for anatomy.
        side: Laterality of an anatomy term; None for clinical terms and terms without a side.
        family: What the left, right and both-sided anatomy terms share; None for others.
    """

    text: str
    kind: EntityKind
    synonyms: tuple[str, ...] = ()
    anatomies: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    gradable: bool = False
    finding: Finding | None = None
    weight: int = 1
    implies: tuple[str, ...] = ()
    region: Region | None = None
    side: Side | None = None
    family: str | None = None


@dataclass(frozen=True)
class Vocabulary:
    """All concepts by canonical term.

    Attributes:
        concepts: Canonical term to concept, clinical ones first.
        denials: Normalised statement of normality ("normal heart size") to the canonical term whose
            absence it states ("cardiomegaly").
        revision: SHA-256 of data and rules, 64 hex digits.
    """

    concepts: Mapping[str, Concept]
    denials: Mapping[str, str]
    revision: str

    @cached_property
    def _index(self) -> Mapping[str, Concept]:
        return MappingProxyType(_build_index(self.concepts))

    @cached_property
    def _members(self) -> Mapping[tuple[str | None, Side | None], str]:
        return {(c.family, c.side): c.text for c in self.anatomies() if c.family is not None}

    def lookup(self, text: str) -> Concept | None:
        """The concept of a term, synonym or plural; case, spaces and hyphens do not matter."""
        return self._index.get(normalise(text))

    def known(self, text: str, kind: EntityKind) -> Concept | None:
        """The concept that a whole tagged term is, if of the same sort: clinical or anatomy.

        British spelling is understood. A denied term may be a statement of normality ("normal
        heart size"), which is the concept whose absence it states.
        """
        concept = self.lookup(text) or self.lookup(american(normalise(text)))
        if concept is None and kind.is_negated:
            denied = self.denials.get(normalise(text))
            concept = None if denied is None else self.concepts[denied]
        if concept is None or concept.kind.is_clinical is not kind.is_clinical:
            return None
        return concept

    def forms(self) -> Mapping[str, Concept]:
        """Every normalised surface form, plurals included, with its concept.

        Raises:
            ValueError: If two concepts claim a form.
        """
        return self._index

    def clinical(self) -> tuple[Concept, ...]:
        """All abnormalities and diseases, in file order."""
        return tuple(concept for concept in self.concepts.values() if concept.kind.is_clinical)

    def anatomies(self) -> tuple[Concept, ...]:
        """All anatomy terms, in file order."""
        return tuple(concept for concept in self.concepts.values() if not concept.kind.is_clinical)

    def member(self, family: str | None, side: Side | None) -> str | None:
        """The anatomy term of a family on a side ("lung base", both: "lung bases"), else None."""
        return self._members.get((family, side))

    def default_place(self, concept: Concept, side: Side | None) -> str | None:
        """Where a concept is meant when a report says only a side; None when it has none there."""
        if side is None:
            return None
        places = (text for text in concept.anatomies if self.concepts[text].side is side)
        return next(places, None)

    def of_finding(self, finding: Finding) -> Concept:
        """The concept under a finding's canonical term."""
        return self.concepts[finding.term]


def _build_index(concepts: Mapping[str, Concept]) -> dict[str, Concept]:
    """Surface form to concept; a spelled-out form wins over a derived plural."""
    index: dict[str, Concept] = {}
    for concept in concepts.values():
        for form in (concept.text, *concept.synonyms):
            owner = index.setdefault(normalise(form), concept)
            if owner is not concept:
                raise ValueError(
                    f"vocabulary: a form must belong to one concept, {form!r} is claimed by "
                    f"{owner.text!r} and {concept.text!r}; remove it from one of them"
                )
    for form, concept in list(index.items()):
        many = plural(form) if concept.kind.is_clinical else None
        if many is not None:
            index.setdefault(many, concept)
    return index


def _anatomy_concept(place: Place) -> Concept:
    return Concept(
        text=place.text,
        kind=EntityKind.ANATOMY,
        synonyms=place.synonyms,
        weight=place.weight,
        side=place.side,
        family=place.family,
    )


def _clinical_concepts(region: Region, groups: Mapping[str, list[str]]) -> Iterator[Concept]:
    for text, entry in _read(f"clinical_{region}.yaml").items():
        finding = entry.get("finding")
        yield Concept(
            text=text,
            kind=EntityKind(entry.get("kind", "abnormality")),
            synonyms=tuple(entry.get("synonyms", ())),
            anatomies=expand_groups(entry.get("in", []), groups),
            excludes=tuple(entry.get("excludes", ())),
            gradable=entry["gradable"],
            finding=None if finding is None else Finding(finding),
            weight=entry["weight"],
            implies=tuple(entry.get("implies", ())),
            region=region,
        )


def _read(name: str) -> dict[str, Any]:
    text = files("models.vocabulary").joinpath(name).read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def _both_ways(concepts: dict[str, Concept]) -> dict[str, Concept]:
    """Make `excludes` symmetric, whichever side the data name it on."""
    pairs = {(c.text, other) for c in concepts.values() for other in c.excludes}
    pairs |= {(other, text) for text, other in pairs}
    return {
        text: _with_excludes(concept, tuple(sorted(b for a, b in pairs if a == text)))
        for text, concept in concepts.items()
    }


def _with_excludes(concept: Concept, excludes: tuple[str, ...]) -> Concept:
    return concept if concept.excludes == excludes else replace(concept, excludes=excludes)


def _check_references(concepts: Mapping[str, Concept], denied: Mapping[str, Any]) -> None:
    for concept in concepts.values():
        for name in (*concept.anatomies, *concept.excludes, *concept.implies):
            if name not in concepts:
                raise ValueError(
                    f"vocabulary: {concept.text!r} must refer to canonical terms, got {name!r}; "
                    "define it or correct the reference"
                )
    for name in denied:
        if name not in concepts:
            raise ValueError(f"denials.yaml: expected a canonical term, got {name!r}; define it")


@cache
def load_vocabulary() -> Vocabulary:
    """The vocabulary of this package, read once.

    Raises:
        ValueError: If the data claim one form twice or refer to a term that is not there.
    """
    anatomy, denied = _read("anatomy.yaml"), _read("denials.yaml")
    clinical = [c for region in Region for c in _clinical_concepts(region, anatomy["groups"])]
    places = [_anatomy_concept(place) for place in read_places(anatomy)]
    concepts = _both_ways({concept.text: concept for concept in (*clinical, *places)})
    _check_references(concepts, denied)
    names = [*_FILES, *(f"clinical_{region}.yaml" for region in Region)]
    revision = files_hash("models.vocabulary", *names)
    denials = {normalise(phrase): text for text, phrases in denied.items() for phrase in phrases}
    vocabulary = Vocabulary(MappingProxyType(concepts), MappingProxyType(denials), revision)
    vocabulary.forms()  # built now, so that a form claimed twice is refused here
    return vocabulary
