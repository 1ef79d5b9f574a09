"""What may be said of a difference: p-values, their correction, and the verdict in words.

Shape suffixes: R resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.downstream.metrics import CONFIDENCE, Interval, percentile_interval

LEVEL = 1 - CONFIDENCE  # of a corrected p-value, below which a difference is said to be shown


class Verdict(StrEnum):
    """What a comparison says of an arm; never that two arms are equal."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent within the margin"
    NOT_SHOWN = "no difference shown"
    TOO_FEW_DRAWS = "too few draws to tell"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class Compared:
    """A difference with all that its verdict rests on.

    Attributes:
        value: Arm less reference.
        interval: 95 %, of this comparison alone.
        p_value: Two-sided, of this comparison alone.
        corrected_interval: At the level that the correction for all comparisons leaves
            (Bonferroni): all of them hold their truth in 95 % of studies.
        corrected_p: For all comparisons of the study; None where it is none of them.
        num_comparisons: That the study planned, and `corrected_interval` is for.
    """

    value: float
    interval: Interval
    p_value: float
    corrected_interval: Interval
    corrected_p: float | None = None
    num_comparisons: int = 1

    @property
    def num_draws(self) -> int:
        """Resamples in which the difference has a value."""
        return self.interval.num_resamples

    @property
    def smallest_p(self) -> float:
        """What `two_sided_p` is at least, by so many draws."""
        return 2 / (1 + self.num_draws)

    @property
    def has_enough_draws(self) -> bool:
        """Whether the smallest p-value survives any correction for the planned comparisons.

        With fewer draws the corrected interval ends within the outermost of them, too narrow.
        """
        return self.num_comparisons * self.smallest_p < LEVEL

    @property
    def smallest_shown(self) -> float:
        """About the smallest difference that could have been shown."""
        return (self.corrected_interval.high - self.corrected_interval.low) / 2


def compare(value: float, draws_R: NDArray[np.float64], num_comparisons: int) -> Compared | None:
    """A difference by its resamples, its p-value not yet corrected; None if none has a value.

    Args:
        value: As measured.
        draws_R: In every resample; NaN where it is undefined.
        num_comparisons: Of the study.
    """
    interval = percentile_interval(draws_R, CONFIDENCE)
    wide = percentile_interval(draws_R, 1 - LEVEL / num_comparisons)
    if interval is None or wide is None:
        return None
    p_value = two_sided_p(draws_R)
    return Compared(value, interval, p_value, wide, num_comparisons=num_comparisons)


def two_sided_p(differences_R: NDArray[np.float64]) -> float:
    """Twice the share of resamples on the far side of no difference, at most 1.

    The measured study counts as one resample more, so that no p-value is 0 (Davison and Hinkley
    1997, section 4.2.3). Resamples without a value are left out.
    """
    defined = differences_R[np.isfinite(differences_R)]
    far = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (1 + far) / (1 + len(defined))))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected so that the chance of any false difference keeps its level.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def corrected(family: Sequence[Compared | None]) -> Iterator[Compared | None]:
    """All comparisons of a study with their corrected p-values; None stays what has no figure."""
    p_values = iter(holm([one.p_value for one in family if one]))
    for one in family:
        yield replace(one, corrected_p=next(p_values)) if one else None


def verdict(compared: Compared | None, margin: float | None = None) -> Verdict:
    """Of one comparison.

    Args:
        compared: With its corrected p-value; None where there is no figure on both sides.
        margin: A difference that does not matter, fixed before the study; None: no statement of
            equivalence. It is made if the whole corrected interval lies within: a claim of
            equivalence may err by chance as one of a difference may, and is corrected alike.
            Too few draws claim none, and where they show no difference, that says nothing.
    """
    if compared is None:
        return Verdict.NOT_COMPARED
    wide, enough = compared.corrected_interval, compared.has_enough_draws
    if margin is not None and enough and max(-wide.low, wide.high) < margin:
        return Verdict.EQUIVALENT
    if compared.corrected_p is not None and compared.corrected_p < LEVEL:
        return Verdict.BETTER if compared.value > 0 else Verdict.WORSE
    return Verdict.NOT_SHOWN if enough else Verdict.TOO_FEW_DRAWS
