"""Does a figure of the findings go with how often training showed them? Spearman's correlation.

Shape suffixes: F findings, R resamples.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.downstream.metrics import CONFIDENCE, Interval, percentile_interval
from models.studies.resampling import RESAMPLING_SEED

_LEAST_FINDINGS = 3  # of two, the correlation is 1 or -1 whatever they are


def correlate(
    values: Sequence[float], counts: Sequence[float], num_resamples: int
) -> tuple[float, Interval | None] | None:
    """Spearman's correlation over findings, and its 95 % interval; None where it is undefined.

    Findings are what is drawn with replacement here, since the question is of findings: would
    others like these show the same? Patients and seeds are as measured.

    Args:
        values: A figure of every finding.
        counts: How many training pairs show it.
        num_resamples: R.
    """
    values_F, counts_F = np.asarray(values, np.float64), np.asarray(counts, np.float64)
    if len(values_F) < _LEAST_FINDINGS:
        return None
    (measured,) = rank_correlations(values_F[None], counts_F[None])
    if np.isnan(measured):
        return None
    random = np.random.default_rng(RESAMPLING_SEED)
    drawn_RF = random.integers(len(values_F), size=(num_resamples, len(values_F)))
    drawn_R = rank_correlations(values_F[drawn_RF], counts_F[drawn_RF])
    return float(measured), percentile_interval(drawn_R, CONFIDENCE)


def rank_correlations(
    values_RF: NDArray[np.float64], counts_RF: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spearman's correlation of every two rows, (R,); NaN where all of a row are the same."""
    values_RF, counts_RF = _centred_ranks(values_RF), _centred_ranks(counts_RF)
    together_R = (values_RF * counts_RF).sum(axis=1)
    spread_R = np.sqrt((values_RF**2).sum(axis=1) * (counts_RF**2).sum(axis=1))
    spread_R[spread_R == 0] = np.nan
    correlations_R: NDArray[np.float64] = together_R / spread_R
    return correlations_R


def _centred_ranks(values_RF: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks within each row, ties sharing their mean rank, less the row's mean."""
    below_RF, same_RF = np.zeros(values_RF.shape), np.zeros(values_RF.shape)
    for column in values_RF.T:
        below_RF += column[:, None] < values_RF
        same_RF += column[:, None] == values_RF
    ranks_RF = below_RF + same_RF / 2
    centred_RF: NDArray[np.float64] = ranks_RF - ranks_RF.mean(axis=1, keepdims=True)
    return centred_RF
