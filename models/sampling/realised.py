"""What a draw came to: how balanced it is, and how that differs from the corpus.

The study gives no such figures; its reviewers asked what "balanced" amounts to.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.sampling.entity_table import EntityTable, gini
from models.sampling.sampler import EntityDraw
from storage.records import EntityKind


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly mentions spread over entities.

    Attributes:
        num_entities: Entities of the table.
        num_unused: Entities without a mention.
        num_mentions: Sum of all uses.
        max_uses: Of the most used entity.
        entropy_bits: Shannon entropy of the shares of mentions.
        evenness: Entropy over that of equal shares, 0 to 1 (Pielou); 1 for a single entity.
        gini: 0 when all are used equally often.
    """

    num_entities: int
    num_unused: int
    num_mentions: int
    max_uses: int
    entropy_bits: float
    evenness: float
    gini: float


@dataclass(frozen=True, slots=True)
class RealisedDistribution:
    """A draw against the table it came from.

    Attributes:
        num_reports: Candidates drawn.
        normal_share: Share of reports without a present finding.
        mean_present: Mean number of present findings in the others; 0 when there are none.
        placed_share: Share of present findings that have an anatomy.
        clinical: Uses of clinical entities, present and denied.
        anatomy: Uses of anatomy entities.
        clinical_in_source: The same entities as the source mentions them.
        anatomy_in_source: The same, anatomy.
        divergence_bits: Jensen-Shannon divergence of clinical uses from the source, 0 to 1.
    """

    num_reports: int
    normal_share: float
    mean_present: float
    placed_share: float
    clinical: Spread
    anatomy: Spread
    clinical_in_source: Spread
    anatomy_in_source: Spread
    divergence_bits: float


@dataclass(frozen=True, slots=True)
class CoOccurrence:
    """Two entities that stand together in reports.

    Attributes:
        first: (text, kind).
        second: (text, kind).
        num_reports: Reports with both.
        lift: Over what independent entities of these frequencies would come to; 1 for those.
    """

    first: tuple[str, EntityKind]
    second: tuple[str, EntityKind]
    num_reports: int
    lift: float


def realised_distribution(
    draw: EntityDraw, source: EntityTable | None = None
) -> RealisedDistribution:
    """Measure a draw.

    Args:
        draw: As drawn.
        source: Table of a real corpus to compare with, matched by text and kind; None compares
            with the counts of the table drawn from.
    """
    uses, in_source = draw.uses(), _counts_in(draw.table, source or draw.table)
    anatomy = draw.table.is_anatomy
    num_present = int(draw.num_present_N.sum())
    num_with = int((draw.num_present_N > 0).sum())
    return RealisedDistribution(
        num_reports=len(draw),
        normal_share=(len(draw) - num_with) / len(draw),
        mean_present=num_present / max(1, num_with),
        placed_share=float((draw.place_NK >= 0).sum() / max(1, num_present)),
        clinical=spread(uses[~anatomy]),
        anatomy=spread(uses[anatomy]),
        clinical_in_source=spread(in_source[~anatomy]),
        anatomy_in_source=spread(in_source[anatomy]),
        divergence_bits=jensen_shannon_bits(uses[~anatomy], in_source[~anatomy]),
    )


def spread(uses: NDArray[np.int64]) -> Spread:
    """How evenly uses, (entities,), spread."""
    entropy = entropy_bits(uses)
    equal = np.log2(len(uses)) if len(uses) > 1 else 0.0
    return Spread(
        num_entities=len(uses),
        num_unused=int((uses == 0).sum()),
        num_mentions=int(uses.sum()),
        max_uses=int(uses.max(initial=0)),
        entropy_bits=entropy,
        evenness=float(entropy / equal) if equal else 1.0,
        gini=gini(uses),
    )


def entropy_bits(uses: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """Shannon entropy of the shares of non-negative uses, bits; 0 for none."""
    used = uses[uses > 0]
    shares = used / used.sum() if len(used) else used
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # + 0.0: no negative zero


def jensen_shannon_bits(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Jensen-Shannon divergence of two frequency vectors, 0 (equal shares) to 1 (disjoint).

    1 as well when only one of them has any mention, 0 when neither has.
    """
    if not (first.any() and second.any()):
        return float(first.any() != second.any())
    one, two = first / first.sum(), second / second.sum()
    middle = entropy_bits((one + two) / 2)
    return max(0.0, middle - (entropy_bits(one) + entropy_bits(two)) / 2)


def co_occurrence(draw: EntityDraw, num_entities: int = 100) -> list[CoOccurrence]:
    """How often the most used entities stand together, most frequent pairs first.

    Args:
        draw: As drawn.
        num_entities: How many of the most used entities to compare; pairs that never meet count.
    """
    uses = draw.uses()
    top = np.argsort(-uses, kind="stable")[:num_entities]
    top = top[uses[top] > 0]
    drawn = np.concatenate([draw.clinical_NK, draw.anatomy_NM], axis=1)
    rows, columns = np.nonzero(np.isin(drawn, top))
    rank = np.full(len(draw.table), -1)
    rank[top] = np.arange(len(top))
    ones = np.ones(len(rows), np.int64)
    stands = sparse.csr_array(
        (ones, (rows, rank[drawn[rows, columns]])), shape=(len(draw), len(top))
    )
    together = (stands.T @ stands).toarray()
    name = [(draw.table.texts[index], draw.table.kind(index)) for index in top]
    pairs = [
        CoOccurrence(
            name[a],
            name[b],
            int(together[a, b]),
            float(together[a, b] * len(draw) / (uses[top[a]] * uses[top[b]])),
        )
        for a, b in combinations(range(len(top)), 2)
    ]
    return sorted(pairs, key=lambda pair: (-pair.num_reports, pair.first, pair.second))


def _counts_in(table: EntityTable, source: EntityTable) -> NDArray[np.int64]:
    """Counts of a table's entities in another, 0 where it lacks them."""
    counts = {(text, kind): count for text, kind, count in source.rows()}
    return np.array([counts.get((text, kind), 0) for text, kind, _ in table.rows()], np.int64)
