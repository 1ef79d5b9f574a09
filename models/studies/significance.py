"""What may be said of a difference: p-values, their correction, and the verdict in words.

Shape suffixes: R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
    """

    value: float
    interval: Interval
    p_value: float
    corrected_interval: Interval
    corrected_p: float | None = None

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
    return Compared(value, interval, two_sided_p(draws_R), wide)


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


def verdict(compared: Compared | None, margin: float | None = None) -> Verdict:
    """Of one comparison.

    Args:
        compared: With its corrected p-value; None where there is no figure on both sides.
        margin: A difference that does not matter, fixed before the study; None: no statement of
            equivalence. It is made if the whole corrected interval lies within: a claim of
            equivalence may err by chance as one of a difference may, and is corrected alike.
    """
    if compared is None:
        return Verdict.NOT_COMPARED
    wide = compared.corrected_interval
    if margin is not None and max(-wide.low, wide.high) < margin:
        return Verdict.EQUIVALENT
    if compared.corrected_p is not None and compared.corrected_p < LEVEL:
        return Verdict.BETTER if compared.value > 0 else Verdict.WORSE
    return Verdict.NOT_SHOWN
