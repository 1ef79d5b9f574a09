"""Parts of a training and their shares, in numbers. Light: imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class PhaseWeights:
    """A part of a training.

    Attributes:
        share: Of the optimiser steps, relative to the other phases.
        weights: Of each source of the mixture, relative; 0 for one that is not in this phase.
    """

    share: float
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """The same, counted.

    Attributes:
        first_step: From 1.
        num_steps: At least 1.
        counts: Pairs of each source in every batch.
    """

    first_step: int
    num_steps: int
    counts: tuple[int, ...]


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
