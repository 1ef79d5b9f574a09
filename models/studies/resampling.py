"""Patients and seeds drawn again, and the AUROC of every draw.

What a study wants to know is whether an arm would be better on other patients and with other
seeds. So both are drawn again, and each draw serves every cell alike: a patient who makes the task
easy makes it easy for both sides of a difference. A draw's figure is the mean over all seeds on
the drawn patients, plus how far the drawn seeds' mean lies from that of all seeds, as measured on
all patients: on the drawn ones, what a training's own noise does there would be counted twice.

**Patients**, not images, are drawn with replacement: the images of one patient resemble each
other. Findings are not drawn: a study speaks of the findings it has.

**Seeds** are drawn with replacement too. From three seeds alone that would promise too much: no
draw lies beyond the best of the three, and such an interval held the truth in 75 % of simulated
studies instead of 95 %. So the distance of a draw from the mean of all seeds is stretched, by
S / (S - 1) in its variance and at random by how badly S trainings tell their own spread, as
Student's t does. Then 95 % hold it, and p-values are right far below 5 % as well, where the
correction for many comparisons looks (`tests/models/studies/test_resampling.py`). With many seeds
the stretch goes to 1 and leaves the ordinary bootstrap.

Shape suffixes: N images, R resamples, S seeds, P and Q images with and without a finding.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.downstream.metrics import resample_weights

RESAMPLING_SEED = 20_261  # any; the same for every study, so that a report can be made again
_LEAST_RESAMPLES = 2_000
_RESAMPLES_PER_COMPARISON = 100  # the smallest p-value, 2 / R, times all comparisons is then 0.02
_CHUNK = 500  # resamples whose weights are in memory, and mostly in the processor's cache, at once


def resamples_for(num_comparisons: int) -> int:
    """How many resamples let a p-value survive the correction for so many comparisons."""
    return max(_LEAST_RESAMPLES, _RESAMPLES_PER_COMPARISON * num_comparisons)


def patient_weights(
    patients: Sequence[str], num_resamples: int
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """How often each image is counted when patients are drawn with replacement, chunk by chunk.

    Args:
        patients: Of each image.
        num_resamples: R.

    Yields:
        Which resamples, and their weights, (N, R of the chunk); the same at every call.
    """
    for first in range(0, num_resamples, _CHUNK):
        chunk = slice(first, min(first + _CHUNK, num_resamples))
        drawn = resample_weights(patients, chunk.stop - first, RESAMPLING_SEED + first)
        yield chunk, np.ascontiguousarray(drawn.T)


def seed_distances(values_S: NDArray[np.float64], num_resamples: int) -> NDArray[np.float64]:
    """How far the mean of drawn seeds lies from that of all, stretched as said above, (R,).

    All 0 for one seed: its spread is not known, and the interval is of that training alone.

    Args:
        values_S: A figure of each seed.
        num_resamples: R; seeds are drawn the same for every figure.
    """
    distances_R: NDArray[np.float64] = _seed_weights(len(values_S), num_resamples) @ values_S
    return distances_R


@lru_cache(maxsize=8)
def _seed_weights(num_seeds: int, num_resamples: int) -> NDArray[np.float64]:
    """What each seed adds in each draw to the mean of all, (R, S); every row's sum is 0."""
    if num_seeds == 1:
        return np.zeros((num_resamples, 1))
    random = np.random.default_rng((RESAMPLING_SEED, num_seeds))
    equal, degrees = 1 / num_seeds, num_seeds - 1
    shares_RS = random.multinomial(num_seeds, np.full(num_seeds, equal), num_resamples) / num_seeds
    student_R = np.sqrt(degrees / random.chisquare(degrees, num_resamples))
    stretch_R = np.sqrt(num_seeds / degrees) * student_R
    weights_RS: NDArray[np.float64] = stretch_R[:, None] * (shares_RS - equal)
    return weights_RS


def resampled_auroc(
    scores_N: NDArray[np.floating], positive_N: NDArray[np.bool_], weights_NR: NDArray[np.float32]
) -> NDArray[np.float64]:
    """AUROC of every resample, ties counting half; NaN where a class was not drawn, (R,).

    The figures of `metrics.weighted_auroc`, seven times as fast for a thousand images: weights
    lie image by image, so that sorting them moves whole rows.

    Args:
        scores_N: Finite; higher means more likely positive.
        positive_N: True for positives.
        weights_NR: How often each image is counted: whole numbers, exact in single precision.
    """
    absent = np.flatnonzero(~positive_N)
    absent = absent[np.argsort(scores_N[absent], kind="stable")]
    scores_P, scores_Q = scores_N[positive_N], scores_N[absent]
    weights_PR = weights_NR[positive_N].astype(np.float64)
    below_P, up_to_P = (np.searchsorted(scores_Q, scores_P, side) for side in ("left", "right"))
    starts = np.unique(np.r_[0, below_P, up_to_P])  # between two, no score tells absent ones apart
    starts = starts[starts < len(absent)]
    weight_below_R = np.zeros((len(starts) + 1, weights_NR.shape[1]))
    if len(starts):
        between_R = np.add.reduceat(weights_NR[absent], starts, axis=0)
        np.cumsum(between_R, axis=0, out=weight_below_R[1:])
    below_PR = weight_below_R[np.searchsorted(starts, below_P)]
    below_PR += weight_below_R[np.searchsorted(starts, up_to_P)]
    right_R: NDArray[np.float64] = (below_PR * weights_PR).sum(axis=0) / 2
    pairs_R = weights_PR.sum(axis=0) * weight_below_R[-1]
    pairs_R[pairs_R == 0] = np.nan
    aurocs_R: NDArray[np.float64] = right_R / pairs_R
    return aurocs_R
