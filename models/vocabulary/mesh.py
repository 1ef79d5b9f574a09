"""MeSH terms of the OpenI reports ("Opacity/lung/base/left/mild") as entities of this vocabulary.

The archive tags each report with headings and qualifiers of an indexer's choice. The mapping in
`mesh.yaml` is our own. A heading alone, or with qualifiers that make it a finding, becomes one
entity; qualifiers give its place, side, severity and doubt; all others (patchy, chronic, round) say
how it looks, which an entity does not carry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from models.vocabulary.anatomy import Side
from models.vocabulary.concepts import Concept, Vocabulary, load_vocabulary
from models.vocabulary.words import normalise
from storage.records import Entity, EntityStatus, Severity

_SIDES = {"left": Side.LEFT, "right": Side.RIGHT, "bilateral": Side.BOTH}


@dataclass(frozen=True, slots=True)
class Heading:
    """What one MeSH heading means.

    Attributes:
        concept: Canonical term; None when the heading is ignored.
        when: Qualifier to the canonical term it makes of the heading; the first that fits wins.
        ignored: Why the heading says nothing of the patient; None when it is used.
    """

    concept: str | None
    when: Mapping[str, str]
    ignored: str | None


@dataclass(frozen=True, slots=True)
class MeshMap:
    """The content of mesh.yaml; headings and qualifiers normalised."""

    headings: Mapping[str, Heading]
    places: Mapping[str, str]
    severity: Mapping[str, Severity]
    uncertain: frozenset[str]

    def heading(self, name: str) -> Heading:
        """The meaning of a heading.

        Raises:
            ValueError: If the map has no such heading.
        """
        found = self.headings.get(normalise(name))
        if found is None:
            raise ValueError(f"expected a MeSH heading of mesh.yaml, got {name!r}; add it there")
        return found

    def entity(self, term: str) -> Entity | None:
        """The entity of a term "Heading/qualifier/…"; None for an ignored heading.

        Raises:
            ValueError: If the heading is unknown.
        """
        name, *qualifiers = (normalise(part) for part in term.split("/"))
        heading = self.heading(name)
        if heading.concept is None:
            return None
        chosen = (heading.when[word] for word in heading.when if word in qualifiers)
        concept = load_vocabulary().concepts[next(chosen, heading.concept)]
        return self._place(concept, qualifiers)

    def _place(self, concept: Concept, qualifiers: list[str]) -> Entity:
        vocabulary = load_vocabulary()
        side = next((_SIDES[word] for word in qualifiers if word in _SIDES), None)
        if not concept.kind.is_clinical:
            text = vocabulary.member(concept.family, side) or concept.text
            return Entity(text, concept.kind, EntityStatus.PRESENT)
        doubtful = self.uncertain & set(qualifiers)
        severity = next((self.severity[w] for w in qualifiers if w in self.severity), None)
        return Entity(
            text=concept.text,
            kind=concept.kind,
            status=EntityStatus.UNCERTAIN if doubtful else EntityStatus.PRESENT,
            anatomy=self._anatomy(vocabulary, concept, qualifiers, side),
            severity=severity if concept.gradable else None,
        )

    def _anatomy(
        self, vocabulary: Vocabulary, concept: Concept, qualifiers: list[str], side: Side | None
    ) -> str | None:
        """The last named place the concept may have, the finest; else where a bare side means."""
        for word in reversed(qualifiers):
            place = self.places.get(word)
            text = place and (vocabulary.member(place, side or Side.BOTH) or place)
            if text in concept.anatomies:
                return text
        return vocabulary.default_place(concept, side)


@cache
def load_mesh_map() -> MeshMap:
    """The map of this package, read once.

    Raises:
        ValueError: If it names a concept the vocabulary does not have.
    """
    text = files("models.vocabulary").joinpath("mesh.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    headings = {normalise(name): _heading(name, entry) for name, entry in data["headings"].items()}
    return MeshMap(
        headings=headings,
        places={normalise(word): place for word, place in data["places"].items()},
        severity={word: Severity(value) for word, value in data["severity"].items()},
        uncertain=frozenset(data["uncertain"]),
    )


def _heading(name: str, entry: Mapping[str, Any]) -> Heading:
    when = {normalise(word): concept for word, concept in entry.get("when", {}).items()}
    heading = Heading(entry.get("concept"), when, entry.get("ignored"))
    for term in (*when.values(), *([] if heading.concept is None else [heading.concept])):
        if term not in load_vocabulary().concepts:
            raise ValueError(f"mesh.yaml: {name!r} must name a canonical term, got {term!r}")
    return heading
