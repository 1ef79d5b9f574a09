"""AUROC and its bootstrap, by ranks, many resamples at once.

Shape suffixes: N images, F findings, R resamples, G patients.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95  # of every interval that is reported
UNKNOWN = -1  # label of an image that says nothing of a finding


@dataclass(frozen=True, slots=True)
class Interval:
    """A percentile bootstrap interval. `num_resamples`: those in which the value exists."""

    low: float
    high: float
    num_resamples: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over images with its 95 % interval.

    Attributes:
        draws_R: The same in every resample of patients, by which two models that were measured on
            the same images are compared; None where they are not kept.
    """

    value: float
    interval: Interval | None
    draws_R: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"value": self.value, "ci95": bounds(self.interval)}


def metric_name(*path: str) -> str:
    """What a figure is called in the report of a study: "10% of labels, dice"."""
    return ", ".join(path).replace("_", " ")


def share_name(share: float) -> str:
    """Of the labels, 0 to 1: "10% of labels"."""
    return f"{100 * share:g}% of labels"


def bounds(interval: Interval | None) -> list[float] | None:
    """An interval for JSON."""
    return [interval.low, interval.high] if interval else None


def weighted_auroc(
    scores_N: NDArray[np.floating], positive_N: NDArray[np.bool_], weights_RN: NDArray[np.floating]
) -> NDArray[np.float64]:
    """AUROC under many weightings of the same images; NaN where a class has no weight, (R,).

    Equals the share of (positive, negative) pairs that are ranked right, ties counting half
    (Mann-Whitney), an image of weight w standing for w images.

    Args:
        scores_N: Higher means more likely positive.
        positive_N: True for positives.
        weights_RN: How often each image is counted, one row a weighting.
    """
    order = np.argsort(scores_N, kind="stable")
    ordered = scores_N[order]
    first_of_tie = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    weights_RN = weights_RN[:, order].astype(np.float64)
    positive_N = positive_N[order]
    positives_RT = np.add.reduceat(weights_RN * positive_N, first_of_tie, axis=1)
    negatives_RT = np.add.reduceat(weights_RN * ~positive_N, first_of_tie, axis=1)
    below_RT = np.cumsum(negatives_RT, axis=1) - negatives_RT / 2
    right_R: NDArray[np.float64] = (positives_RT * below_RT).sum(axis=1)
    pairs_R = positives_RT.sum(axis=1) * negatives_RT.sum(axis=1)
    pairs_R[pairs_R == 0] = np.nan
    aurocs_R: NDArray[np.float64] = right_R / pairs_R
    return aurocs_R


def auroc(scores_N: NDArray[np.floating], positive_N: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties counting half; NaN without both classes."""
    if len(scores_N) == 0:
        return float("nan")
    return float(weighted_auroc(scores_N, positive_N, np.ones((1, len(scores_N))))[0])


def resample_weights(groups: Sequence[str], num_resamples: int, seed: int) -> NDArray[np.float32]:
    """How often each image is drawn when whole patients are drawn with replacement, (R, N).

    Args:
        groups: Patient of each image; images of one patient are drawn together.
        num_resamples: R.
        seed: Of the draws.
    """
    _, group_of_N = np.unique(np.asarray(groups), return_inverse=True)
    num_groups = int(group_of_N.max()) + 1
    random = np.random.default_rng(seed)
    drawn_RG = random.multinomial(num_groups, np.full(num_groups, 1 / num_groups), num_resamples)
    return drawn_RG[:, group_of_N].astype(np.float32)


def bootstrap_aurocs(
    scores_NF: NDArray[np.floating],
    labels_NF: NDArray[np.int8],
    groups: Sequence[str],
    num_resamples: int,
    seed: int,
) -> NDArray[np.float64]:
    """AUROC of every finding in every resample of patients, (R, F); NaN where undefined.

    Args:
        scores_NF: Scores, higher means more likely present.
        labels_NF: 1 present, 0 absent, -1 unknown (left out).
        groups: Patient of each image.
        num_resamples: R.
        seed: Of the resamples, the same for all findings, so that their macro mean has a sense.
    """
    weights_RN = resample_weights(groups, num_resamples, seed)
    columns = []
    for scores_N, labels_N in zip(scores_NF.T, labels_NF.T, strict=True):
        known = labels_N != UNKNOWN
        if not known.any():
            columns.append(np.full(num_resamples, np.nan))
            continue
        positive_N = labels_N[known] == 1
        columns.append(weighted_auroc(scores_N[known], positive_N, weights_RN[:, known]))
    return np.stack(columns, axis=1)


def percentile_interval(values_R: NDArray[np.float64], confidence: float) -> Interval | None:
    """The central `confidence` share of bootstrap values, undefined ones left out.

    None if no resample has a value.
    """
    defined = values_R[np.isfinite(values_R)]
    if len(defined) == 0:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high), len(defined))


def macro_interval(resampled_RF: NDArray[np.float64], confidence: float) -> Interval | None:
    """Of the mean over findings; a resample counts if some finding is defined in it."""
    return percentile_interval(macro_draws(resampled_RF), confidence)


def macro_draws(resampled_RF: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the findings that are defined in each resample; NaN where none is, (R,)."""
    defined_RF = np.isfinite(resampled_RF)
    counts_R = defined_RF.sum(axis=1).astype(np.float64)
    counts_R[counts_R == 0] = np.nan
    means_R: NDArray[np.float64] = np.where(defined_RF, resampled_RF, 0).sum(axis=1) / counts_R
    return means_R


def drawn_figure(value: float, draws_R: NDArray[np.float64]) -> Figure:
    """A figure with its 95 % interval by its resamples."""
    return Figure(value, percentile_interval(draws_R, CONFIDENCE), draws_R)


def resampled_means(
    values_NF: NDArray[np.float64], weights_RN: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Mean of every column in every resample, (R, F); NaN where nothing was drawn.

    Args:
        values_NF: NaN where an image has no value.
        weights_RN: How often each image is counted, of `resample_weights`.
    """
    known_NF = np.isfinite(values_NF)
    sums_RF = weights_RN @ np.where(known_NF, values_NF, 0)
    counts_RF = weights_RN.astype(np.float64) @ known_NF
    counts_RF[counts_RF == 0] = np.nan
    means_RF: NDArray[np.float64] = sums_RF / counts_RF
    return means_RF
