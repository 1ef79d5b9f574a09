import numpy as np
import pytest

from models.downstream.metrics import Interval
from models.studies.significance import Compared, Verdict, compare, holm, two_sided_p, verdict


def test_holm_gives_the_worked_example() -> None:
    """0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 no lower than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_equals_its_definition_and_never_passes_one() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        p_values = random.random(7).round(2).tolist()
        ranked = sorted(p_values)
        expected = [
            max(min(1.0, (7 - rank) * p) for rank, p in enumerate(ranked) if p <= own)
            for own in p_values
        ]
        assert holm(p_values) == pytest.approx(expected)
    assert holm([]) == []


def test_p_value_counts_the_resamples_on_the_far_side() -> None:
    draws = np.array([0.1] * 95 + [-0.1] * 4 + [np.nan] * 10)
    assert two_sided_p(draws) == pytest.approx(2 * 5 / 100)
    assert two_sided_p(-draws) == two_sided_p(draws)
    assert two_sided_p(np.zeros(99)) == 1


def test_smallest_difference_is_half_the_interval_and_grows_with_comparisons() -> None:
    draws = np.random.default_rng(0).normal(0.2, 0.1, 50_000)
    alone, among = compare(0.2, draws, 1), compare(0.2, draws, 12)
    assert alone and among
    assert alone.interval == among.interval
    assert alone.smallest_shown == pytest.approx(1.96 * 0.1, rel=0.03)
    assert among.smallest_shown == pytest.approx(2.87 * 0.1, rel=0.05)
    assert compare(0.2, np.full(10, np.nan), 1) is None


@pytest.mark.parametrize(
    ("value", "corrected", "margin", "expected"),
    [
        (0.05, 0.01, None, Verdict.BETTER),
        (-0.05, 0.01, None, Verdict.WORSE),
        (0.05, 0.06, None, Verdict.NOT_SHOWN),
        (0.0, 1.0, None, Verdict.NOT_SHOWN),
        (0.001, 0.9, 0.05, Verdict.EQUIVALENT),
        (0.001, 0.9, 0.01, Verdict.NOT_SHOWN),
        (0.05, 0.01, 0.055, Verdict.BETTER),
    ],
)
def test_verdict(value: float, corrected: float, margin: float | None, expected: Verdict) -> None:
    interval = Interval(value - 0.02, value + 0.02, 2000)
    assert verdict(Compared(value, interval, corrected, interval, corrected), margin) is expected


def test_equivalence_is_claimed_at_the_level_that_many_comparisons_leave() -> None:
    """Of twelve arms that lie just beyond the margin, one in three would pass uncorrected."""
    draws = np.random.default_rng(0).normal(0.01, 0.01, 50_000)
    alone, among = compare(0.01, draws, 1), compare(0.01, draws, 12)
    assert alone and among
    assert alone.interval.high < 0.035 < among.corrected_interval.high
    assert verdict(alone, margin=0.035) is Verdict.EQUIVALENT
    assert verdict(among, margin=0.035) is Verdict.NOT_SHOWN


def test_verdict_without_figures_is_that_nothing_was_compared() -> None:
    assert verdict(None) is Verdict.NOT_COMPARED
