"""The grammar's words, read from phrases.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from models.vocabulary.anatomy import Side
from models.vocabulary.concepts import Concept, Region, load_vocabulary
from storage.records import Severity

Words = Mapping[Severity, Sequence[str]]


@dataclass(frozen=True)
class Phrases:
    """The content of phrases.yaml; comments there say what each part means."""

    countable: frozenset[str]
    plural: frozenset[str]
    names: Mapping[str, Sequence[str]]
    denied_names: Mapping[str, str]
    placed_names: Mapping[str, Sequence[str]]
    side_alone: frozenset[str]
    sized: frozenset[str]
    grades: Words
    sizes: Words
    adverbs: Words
    adverb_terms: frozenset[str]
    adjectives: Mapping[str, str]
    place_names: Mapping[str, str]
    prepositions: Mapping[str, str]
    preposition_of_term: Mapping[str, str]
    plural_places: frozenset[str]
    regions: Mapping[str, Region]
    clear_places: frozenset[str]
    whole_places: frozenset[str]
    sentences: Mapping[str, Sequence[str]]
    denials: Mapping[str, Sequence[str]]
    denied_only_so: frozenset[str]
    signs: frozenset[str]
    causes: frozenset[str]
    may_be: Sequence[str]
    may_be_apart: Sequence[str]
    importance: Mapping[str, int]
    quiet: frozenset[str]
    nothing_found: Sequence[str]
    unremarkable_examination: Sequence[str]


@cache
def load_phrases() -> Phrases:
    """The phrases of this package, read once."""
    data = yaml.safe_load(
        files("models.writers").joinpath("phrases.yaml").read_text(encoding="utf-8")
    )
    places = load_vocabulary().anatomies()
    return Phrases(
        grades=_by_severity(data["severity_words"]["grades"]),
        sizes=_by_severity(data["severity_words"]["sizes"]),
        adverbs=_by_severity(data["adverbs"]["words"]),
        adverb_terms=frozenset(data["adverbs"]["terms"]),
        adjectives=_adjectives(data["adjectives"], places),
        prepositions=_spread(_inverted(data["prepositions"]), places),
        plural_places=_plural_places(data, places),
        regions={
            place: Region(name)
            for place, name in _spread(_inverted(data["regions"]), places).items()
        },
        clear_places=frozenset(_spread(dict.fromkeys(data["clear_places"], ""), places)),
        signs=frozenset(data["may_be"]["signs"]),
        causes=frozenset(data["may_be"]["causes"]),
        may_be=data["may_be"]["sentences"],
        may_be_apart=data["may_be"]["sentences_apart"],
        importance={term: rank for rank, term in enumerate(data["importance"])},
        countable=frozenset(data["countable"]),
        plural=frozenset(data["plural"]),
        side_alone=frozenset(data["side_alone"]),
        sized=frozenset(data["sized"]),
        whole_places=frozenset(data["whole_places"]),
        quiet=frozenset(data["quiet"]),
        names=data["names"],
        denied_names=data["denied_names"],
        placed_names=data["placed_names"],
        place_names=data["place_names"],
        preposition_of_term=data["preposition_of_term"],
        sentences=data["sentences"],
        denials=data["denials"],
        denied_only_so=frozenset(data["denied_only_so"]),
        nothing_found=data["nothing_found"],
        unremarkable_examination=data["unremarkable_examination"],
    )


def _by_severity(words: Mapping[str, Sequence[str]]) -> Words:
    return {Severity(name): choices for name, choices in words.items()}


def _inverted(table: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {name: value for value, names in table.items() for name in names}


def _spread(table: Mapping[str, str], places: Sequence[Concept]) -> dict[str, str]:
    """A table by family or term, spelled out by term; a term's own entry wins."""
    spread = {p.text: table[p.family] for p in places if p.family is not None and p.family in table}
    return spread | {place.text: table[place.text] for place in places if place.text in table}


def _adjectives(data: Mapping[str, Mapping[str, str]], places: Sequence[Concept]) -> dict[str, str]:
    one_sided = {
        place.text: f"{place.side} {data['families'][place.family]}"
        for place in places
        if place.family and place.family in data["families"] and place.side is not Side.BOTH
    }
    return {**one_sided, **data["both"], **data["terms"]}


def _plural_places(data: Mapping[str, Any], places: Sequence[Concept]) -> frozenset[str]:
    both = {place.text for place in places if place.family and place.side is Side.BOTH}
    one_sided = {place.text for place in places if place.family in data["plural_one_sided"]}
    singular = set(data["singular_places"])
    return frozenset((both | one_sided | set(data["plural_places"])) - singular)
