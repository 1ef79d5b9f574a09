"""Parts of a training and their shares, in numbers. Light: imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Batches = Literal["mixed", "one_source"]


@dataclass(frozen=True, slots=True)
class PhaseWeights:
    """A part of a training.

    Attributes:
        share: Of the optimiser steps, relative to the other phases.
        weights: Of each source of the mixture, relative; 0 for one that is not in this phase.
        batches: Whether every batch mixes the sources, or each is of one, in turn.
    """

    share: float
    weights: tuple[float, ...]
    batches: Batches = "mixed"


def apportion(total: int, weights: Sequence[float]) -> tuple[int, ...]:
    """Whole numbers in proportion to weights that add to the total, by largest remainder.

    Of equal remainders the first is rounded up.
    """
    whole = sum(map(Fraction, weights))
    quotas = [total * Fraction(weight) / whole for weight in weights]
    counts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda at: counts[at] - quotas[at])
    for at in by_remainder[: total - sum(counts)]:
        counts[at] += 1
    return tuple(counts)


def take_turns(num_turns: int, weights: Sequence[float]) -> tuple[int, ...]:
    """Whose turn it is, so that after any number of turns each has had its share to within one.

    Of those that a further turn would not put a whole turn ahead of its share, the one with the
    most weight per turn goes next; of equal ones the first.

    Source: Balinski and Young 1975, the quota method.
    """
    whole = sum(map(Fraction, weights))
    shares = [Fraction(weight) / whole for weight in weights]
    had = [0] * len(shares)
    turns: list[int] = []
    for number in range(1, num_turns + 1):
        behind = [at for at, share in enumerate(shares) if had[at] < number * share]
        next_one = max(behind, key=lambda at: shares[at] / (had[at] + 1))
        had[next_one] += 1
        turns.append(next_one)
    return tuple(turns)
