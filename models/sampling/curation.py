"""Make a table of raw strings fit to sample from: merge duplicates, drop what no report may say.

Reviewers of study 1 found noisy duplicate strings and implausible ones; what is merged and what is
dropped is reported, never silent.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

from models.sampling.claims import head_of, place_named_in
from models.sampling.entity_table import EntityTable
from models.vocabulary.concepts import Vocabulary
from models.vocabulary.modifiers import load_modifiers
from models.vocabulary.revisions import files_hash, joined_hash
from models.vocabulary.words import american, normalise, plural
from storage.records import EntityKind

_LETTER = re.compile(r"[^\W\d_]")

TextT = TypeVar("TextT", bound=str)
_Row = tuple[str, EntityKind, int]
_Meaning = tuple[bool, str]  # clinical or anatomy, and a key


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
    """One entity per meaning: case, spaces, hyphens, spelling, plurals and known synonyms merge.

    Counts are added up. Text and kind are the vocabulary's where it knows the term, else the most
    frequent ones, the same for what is stated and what is denied: a report that denies what another
    states speaks of one thing. Weights become 1.

    Returns:
        The table, and what each entity of more than one string stands for.
    """
    groups: dict[_Meaning, list[_Row]] = defaultdict(list)
    for text, kind, count in table.rows():
        groups[_meaning(text, kind, vocabulary)].append((text, kind, count))
    rows, merged = [], []
    for meaning, members in groups.items():
        text, stated = _canonical(meaning, members, vocabulary)
        for kind in (stated, stated.negated) if stated.is_clinical else (stated,):
            same = [member for member in members if member[1].is_negated is kind.is_negated]
            same.sort(key=lambda member: (-member[2], member[0]))
            if same:
                rows.append((text, kind, sum(count for _, _, count in same)))
            if len(same) > 1:
                strings = dict.fromkeys(member[0] for member in same)
                merged.append(MergedEntity(text, kind, tuple(strings)))
    return EntityTable.from_counts(rows), tuple(sorted(merged, key=lambda m: (m.text, m.kind)))


def merging_revision(vocabulary: Vocabulary) -> str:
    """What decides which strings merge: vocabulary and rules, 64 hex digits."""
    return joined_hash(vocabulary.revision, files_hash("models.sampling", "curation.py"))


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


def _meaning(text: str, kind: EntityKind, vocabulary: Vocabulary) -> _Meaning:
    """Equal for strings that speak of the same; spaces are left out ("air space", "airspace")."""
    concept = vocabulary.known(text, kind)
    if concept is not None:
        return kind.is_clinical, f"\0{concept.text}"
    return kind.is_clinical, singular(american(normalise(text))).replace(" ", "")


def _canonical(
    meaning: _Meaning, members: Sequence[_Row], vocabulary: Vocabulary
) -> tuple[str, EntityKind]:
    """Text and kind, negation taken off, of a merged entity."""
    _, key = meaning
    if key.startswith("\0"):
        concept = vocabulary.concepts[key[1:]]
        return concept.text, concept.kind
    texts: Counter[str] = Counter()
    kinds: Counter[EntityKind] = Counter()
    for text, kind, count in members:
        texts[normalise(text)] += count
        kinds[kind.stated] += count
    return _most_frequent(texts), _most_frequent(kinds)


def _most_frequent(counts: "Counter[TextT]") -> TextT:
    """Ties go to the first in the alphabet."""
    return min(counts, key=lambda entry: (-counts[entry], entry))


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
