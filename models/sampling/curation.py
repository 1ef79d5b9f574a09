"""Make a table of raw strings fit to sample from: merge duplicates, drop what no report may say.

Reviewers of study 1 found noisy duplicate strings and implausible ones; what is merged and what is
dropped is reported, never silent.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.sampling.claims import head_of, place_named_in
from models.sampling.entity_table import EntityTable
from models.vocabulary.concepts import Vocabulary
from models.vocabulary.modifiers import load_modifiers
from models.vocabulary.words import normalise, plural
from storage.records import EntityKind

_LETTER = re.compile(r"[^\W\d_]")


class DropReason(StrEnum):
    """Why an entity is no part of a curated table."""

    COMPARISON_WORD = "comparison word"
    MISPLACED = "finding in an anatomy it does not occur in"
    NO_WORD = "no word"


@dataclass(frozen=True, slots=True)
class MergedEntity:
    """One entity of a curated table and the raw strings it stands for, most frequent first."""

    text: str
    kind: EntityKind
    merged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DroppedEntity:
    """A string left out, and why."""

    text: str
    kind: EntityKind
    count: int
    reason: DropReason


@dataclass(frozen=True, slots=True)
class Curation:
    """A table fit to sample from, and what became of the rest."""

    table: EntityTable
    merged: tuple[MergedEntity, ...]
    dropped: tuple[DroppedEntity, ...]


def curate(table: EntityTable, vocabulary: Vocabulary) -> Curation:
    """Merge duplicates, then drop what no single-time report may say.

    Raises:
        ValueError: If nothing is left.
    """
    unique, merged = merge_duplicates(table, vocabulary)
    reasons = [
        drop_reason(text, unique.kind(index), vocabulary) for index, text in enumerate(unique.texts)
    ]
    kept = unique.select(np.array([reason is None for reason in reasons], bool))
    if not len(kept):
        raise ValueError(
            f"entity table: expected at least one usable entity, got none of {len(table)}; "
            "check the tagger and the corpus"
        )
    dropped = tuple(
        DroppedEntity(text, kind, count, reason)
        for (text, kind, count), reason in zip(unique.rows(), reasons, strict=True)
        if reason is not None
    )
    return Curation(kept, merged, dropped)


def merge_duplicates(
    table: EntityTable, vocabulary: Vocabulary
) -> tuple[EntityTable, tuple[MergedEntity, ...]]:
    """One entity per meaning: case, spaces, hyphens, plurals and known synonyms do not matter.

    Counts are added up; the kind is the vocabulary's where it knows the term, else the most
    frequent one of the same polarity; so is the text. Weights become 1.

    Returns:
        The table, and what each entity of more than one string stands for.
    """
    groups: dict[tuple[str, str], list[tuple[str, EntityKind, int]]] = defaultdict(list)
    for text, kind, count in table.rows():
        groups[_merge_key(text, kind, vocabulary)].append((text, kind, count))
    rows, merged = [], []
    for (meaning, polarity), members in groups.items():
        members.sort(key=lambda member: (-member[2], member[0]))
        text, kind = _canonical(meaning, polarity, members, vocabulary)
        rows.append((text, kind, sum(count for _, _, count in members)))
        if len(members) > 1:
            merged.append(MergedEntity(text, kind, tuple(member[0] for member in members)))
    return EntityTable.from_counts(rows), tuple(sorted(merged, key=lambda m: (m.text, m.kind)))


def drop_reason(text: str, kind: EntityKind, vocabulary: Vocabulary) -> DropReason | None:
    """Why an entity may not be sampled; None when it may."""
    if vocabulary.known(text, kind) is not None:
        return None
    words = normalise(text).split()
    if not any(_LETTER.search(word) for word in words):
        return DropReason.NO_WORD
    # "increased lung volumes" passed as a known term (hyperinflation): merging comes first
    if load_modifiers().comparison_word(text) is not None:
        return DropReason.COMPARISON_WORD
    if kind.is_clinical and not kind.is_negated and _is_misplaced(text, vocabulary):
        return DropReason.MISPLACED
    return None


def singular(text: str) -> str:
    """A term with its last word in the singular, where `plural` would give the term back."""
    if text.endswith(("is", "us", "ss")):
        return text
    for ending, replacement in (("ies", "y"), ("es", "is"), ("ces", "x"), ("es", ""), ("s", "")):
        candidate = text.removesuffix(ending) + replacement
        if text.endswith(ending) and plural(candidate) == text:
            return candidate
    return text


def _merge_key(text: str, kind: EntityKind, vocabulary: Vocabulary) -> tuple[str, str]:
    """(meaning, polarity): equal for terms that say the same."""
    polarity = "anatomy" if kind is EntityKind.ANATOMY else "no" if kind.is_negated else "yes"
    concept = vocabulary.known(text, kind)
    return (singular(normalise(text)) if concept is None else f"\0{concept.text}"), polarity


def _canonical(
    meaning: str,
    polarity: str,
    members: list[tuple[str, EntityKind, int]],
    vocabulary: Vocabulary,
) -> tuple[str, EntityKind]:
    """Text and kind of a merged entity; `members` with the most frequent first."""
    text, kind, _ = members[0]
    if not meaning.startswith("\0"):
        return normalise(text), kind
    concept = vocabulary.concepts[meaning[1:]]
    return concept.text, concept.kind.negated if polarity == "no" else concept.kind


def _is_misplaced(text: str, vocabulary: Vocabulary) -> bool:
    """Whether a string puts a known finding into known anatomy that it does not occur in."""
    named = place_named_in(text)
    place = vocabulary.lookup(named) if named else None
    finding = vocabulary.lookup(head_of(text))
    if place is None or finding is None or place.kind.is_clinical or not finding.anatomies:
        return False
    allowed = {place.family or place.text} | {place.text}
    return not any(
        anatomy in allowed or vocabulary.concepts[anatomy].family in allowed
        for anatomy in finding.anatomies
    )
