import numpy as np
import pytest
from scipy.stats import spearmanr

from models.studies.long_tail import correlate, rank_correlations


def test_rank_correlations_with_ties_equal_scipy() -> None:
    random = np.random.default_rng(0)
    values, counts = random.integers(0, 6, (2, 40, 9)).astype(float)
    expected = [spearmanr(one, other).statistic for one, other in zip(values, counts, strict=True)]
    np.testing.assert_allclose(rank_correlations(values, counts), expected, atol=1e-12)


def test_correlation_interval_holds_the_measured_one() -> None:
    random = np.random.default_rng(1)
    counts = random.integers(1, 5000, 14).tolist()
    found = correlate([np.log(count) + random.normal() for count in counts], counts, 1000)
    assert found
    value, interval = found
    assert interval and interval.low < value < interval.high


@pytest.mark.parametrize(
    ("values", "counts"), [([0.1, 0.2], [5, 9]), ([0.1, 0.2, 0.3], [5, 5, 5]), ([], [])]
)
def test_correlation_of_too_few_or_of_equal_counts_is_none(
    values: list[float], counts: list[float]
) -> None:
    assert correlate(values, counts, 100) is None
