"""Anatomy terms: families with a left, a right and a both-sided member, single terms, groups."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Side(StrEnum):
    """Laterality of an anatomy term."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Place:
    """One anatomy term.

    Attributes:
        text: Canonical term ("left lung base").
        synonyms: What else a report calls it ("left basilar").
        weight: Rough frequency for the built-in table, at least 0.
        family: What left, right and both share ("lung base"); None for a single term.
        side: None where the term has no side of its own ("mediastinum").
    """

    text: str
    synonyms: tuple[str, ...]
    weight: int
    family: str | None = None
    side: Side | None = None


_SIDES_OF_SINGLE_TERMS = {
    "right middle lobe": Side.RIGHT,
    "lingula": Side.LEFT,
    "minor fissure": Side.RIGHT,
    "right paratracheal region": Side.RIGHT,
}


def read_places(data: Mapping[str, Any]) -> Iterator[Place]:
    """Spell out `families` and `terms` of anatomy.yaml."""
    for family, entry in data["families"].items():
        yield from _family_members(family, entry)
    for text, entry in data["terms"].items():
        synonyms = tuple(entry.get("synonyms", ()))
        yield Place(text, synonyms, entry["weight"], side=_SIDES_OF_SINGLE_TERMS.get(text))


def _family_members(family: str, entry: Mapping[str, Any]) -> Iterator[Place]:
    words = [*entry["words"], *entry.get("sided_words", ())]
    for side in (Side.RIGHT, Side.LEFT):
        text = f"{side} {family}"
        sided = {f"{prefix} {word}" for word in words for prefix in (side, f"{side} sided")}
        synonyms = sorted((sided | set(entry.get(f"{side}_words", ()))) - {text})
        yield Place(text, tuple(synonyms), entry["weight"], family, side)
    both = {f"{prefix} {word}" for word in words for prefix in ("both", "bilateral")}
    both |= set(entry["words"]) | set(entry.get("both_words", ())) | {_mirrored(family)}
    synonyms = sorted(both - {entry["both"]})
    yield Place(entry["both"], tuple(synonyms), entry["weight"], family, Side.BOTH)


def _mirrored(family: str) -> str:
    return f"left and right {family}"


def expand_groups(names: list[str], groups: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Anatomy terms that `names` (groups or terms) stand for, in order, each once."""
    terms = (term for name in names for term in groups.get(name, [name]))
    return tuple(dict.fromkeys(terms))
