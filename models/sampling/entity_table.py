"""What reports may be asked to say: every entity of a vocabulary or corpus, with its frequency.

Source: study 1 (PAPERS.md), step 2: distinct strings of five kinds, more than 150,000 of them.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vocabulary.concepts import Concept, Vocabulary
from storage.records import Entity, EntityKind

RARE_MENTIONS = 10
KINDS = tuple(EntityKind)  # `EntityTable.kinds` holds indices into this
_CODES = {kind: code for code, kind in enumerate(KINDS)}
_NEGATED_CODES = [code for code, kind in enumerate(KINDS) if kind.is_negated]
_ANATOMY_CODE = _CODES[EntityKind.ANATOMY]


@dataclass(frozen=True, slots=True)
class LongTail:
    """How uneven a table is.

    Attributes:
        num_entities: Distinct (text, kind).
        num_mentions: Sum of all counts.
        share_once: Share of entities mentioned once.
        share_rare: Share of entities with fewer than `RARE_MENTIONS`.
        share_of_top_tenth: Share of mentions that the most frequent tenth of entities makes up.
        gini: 0 when all are equally frequent, towards 1 when one makes up everything.
    """

    num_entities: int
    num_mentions: int
    share_once: float
    share_rare: float
    share_of_top_tenth: float
    gini: float


@dataclass(frozen=True, eq=False)
class EntityTable:
    """Entities as columns of equal length.

    Attributes:
        texts: Lower-case terms; distinct within a kind.
        kinds: int8 (entities,), indices into `KINDS`.
        counts: int64 (entities,), mentions in the source, at least 1.
        weights: float64 (entities,), how often balanced sampling draws one relative to another;
            1 for all in study 1.
    """

    texts: tuple[str, ...]
    kinds: NDArray[np.int8]
    counts: NDArray[np.int64]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        lengths = {len(self.texts), len(self.kinds), len(self.counts), len(self.weights)}
        assert len(lengths) == 1, f"columns must be of equal length, got {lengths}"
        for column in (self.kinds, self.counts, self.weights):
            column.setflags(write=False)
        if len(self.texts) and (self.counts.min() < 1 or not self.weights.min() > 0):
            raise ValueError(
                "entity table: expected counts of at least 1 and weights above 0, got "
                f"{self.counts.min()} and {self.weights.min()}; drop such entities"
            )

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def from_counts(cls, rows: Iterable[tuple[str, EntityKind, int]]) -> "EntityTable":
        """A corpus's table: rows with equal text and kind are added, most frequent first.

        Raises:
            ValueError: If a count is below 1.
        """
        total: Counter[tuple[str, EntityKind]] = Counter()
        for text, kind, count in rows:
            total[text, EntityKind(kind)] += count
        entries = sorted(total.items(), key=lambda entry: (-entry[1], entry[0]))
        return cls(
            texts=tuple(text for (text, _), _ in entries),
            kinds=np.array([_CODES[kind] for (_, kind), _ in entries], np.int8),
            counts=np.array([count for _, count in entries], np.int64),
            weights=np.ones(len(entries)),
        )

    @classmethod
    def from_tagged(cls, reports: Iterable[tuple[Entity, ...]]) -> "EntityTable":
        """The table of tagged reports; an entity counts once per report."""
        return cls.from_counts(
            (text, kind, 1) for entities in reports for text, kind in {e.key for e in entities}
        )

    @property
    def present(self) -> NDArray[np.intp]:
        """Indices of the clinical entities that a report states as present."""
        return np.flatnonzero(~self.is_negated & ~self.is_anatomy)

    @property
    def denied(self) -> NDArray[np.intp]:
        """Indices of the `non-` entities."""
        return np.flatnonzero(self.is_negated)

    @property
    def anatomy(self) -> NDArray[np.intp]:
        """Indices of the anatomy entities."""
        return np.flatnonzero(self.is_anatomy)

    @property
    def is_negated(self) -> NDArray[np.bool_]:
        """Bool (entities,)."""
        return np.isin(self.kinds, _NEGATED_CODES)

    @property
    def is_anatomy(self) -> NDArray[np.bool_]:
        """Bool (entities,)."""
        return np.equal(self.kinds, _ANATOMY_CODE)

    def kind(self, index: int) -> EntityKind:
        """Kind of one entity."""
        return KINDS[int(self.kinds[index])]

    def rows(self) -> list[tuple[str, EntityKind, int]]:
        """(text, kind, count) of every entity, in table order."""
        return [
            (text, KINDS[kind], int(count))
            for text, kind, count in zip(self.texts, self.kinds, self.counts, strict=True)
        ]

    def select(self, keep: NDArray[np.bool_]) -> "EntityTable":
        """The entities where `keep`, bool (entities,), is True; order kept."""
        where = np.flatnonzero(keep)
        return EntityTable(
            texts=tuple(self.texts[index] for index in where),
            kinds=self.kinds[where],
            counts=self.counts[where],
            weights=self.weights[where],
        )

    def revision(self) -> str:
        """SHA-256 of the content, pinned in plan.lock.json; 64 hex digits."""
        digest = hashlib.sha256("\n".join(self.texts).encode())
        for column in (self.kinds, self.counts, self.weights):
            digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def long_tail(self) -> LongTail:
        """How uneven the table is.

        Raises:
            ValueError: If it is empty.
        """
        if not len(self):
            raise ValueError("entity table: expected at least one entity, got an empty table")
        falling = np.sort(self.counts)[::-1]
        top = falling[: max(1, len(self) // 10)]
        return LongTail(
            num_entities=len(self),
            num_mentions=int(falling.sum()),
            share_once=float(np.mean(falling == 1)),
            share_rare=float(np.mean(falling < RARE_MENTIONS)),
            share_of_top_tenth=float(top.sum() / falling.sum()),
            gini=gini(self.counts),
        )


def long_tails(table: EntityTable) -> dict[EntityKind, LongTail]:
    """How uneven a table is within each kind that it has."""
    return {
        kind: table.select(np.equal(table.kinds, code)).long_tail()
        for code, kind in enumerate(KINDS)
        if code in table.kinds
    }


def vocabulary_table(
    vocabulary: Vocabulary,
    *,
    num_clinical: int | None = None,
    num_anatomy: int | None = None,
    finding_weight: float = 1.0,
) -> EntityTable:
    """The built-in table: clinical concepts present and denied, and anatomy.

    Args:
        vocabulary: Its concepts' weights become the counts.
        num_clinical: How many clinical concepts to take; the 14 findings of ChestX-ray14 always,
            then the most frequent. None takes all.
        num_anatomy: How many anatomy terms to take: first those a taken concept is placed in, then
            by frequency. None takes all.
        finding_weight: How often balanced sampling draws one of the 14, relative to the others.

    Raises:
        ValueError: If fewer clinical concepts than findings are asked for.
    """
    clinical = sorted(vocabulary.clinical(), key=lambda c: (c.finding is None, -c.weight, c.text))
    num_findings = sum(concept.finding is not None for concept in clinical)
    if num_clinical is not None and num_clinical < num_findings:
        raise ValueError(
            f"num_clinical must be at least {num_findings}, for the findings that every table "
            f"has; got {num_clinical!r}"
        )
    clinical = clinical[:num_clinical]
    places = _places(vocabulary, clinical)[:num_anatomy]
    entries = [(c, kind) for c in clinical for kind in (c.kind, c.kind.negated)]
    entries += [(place, EntityKind.ANATOMY) for place in places]
    return EntityTable(
        texts=tuple(concept.text for concept, _ in entries),
        kinds=np.array([_CODES[kind] for _, kind in entries], np.int8),
        counts=np.array([concept.weight for concept, _ in entries], np.int64),
        weights=np.array([finding_weight if c.finding else 1.0 for c, _ in entries]),
    )


def gini(values: NDArray[np.int64]) -> float:
    """Gini coefficient of non-negative values, 0 ≤ g < 1; 0 for all zero."""
    rising = np.sort(values).astype(np.float64)
    total = rising.sum()
    if not total:
        return 0.0
    ranks = np.arange(1, len(rising) + 1)
    return float((2 * ranks - len(rising) - 1) @ rising / (len(rising) * total))


def _places(vocabulary: Vocabulary, clinical: list[Concept]) -> list[Concept]:
    used = {place for concept in clinical for place in concept.anatomies}
    return sorted(vocabulary.anatomies(), key=lambda c: (c.text not in used, -c.weight, c.text))
