import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.downstream.metrics import weighted_auroc
from models.studies.resampling import (
    patient_weights,
    resampled_auroc,
    resamples_for,
    seed_distances,
)
from models.studies.significance import two_sided_p

_TRIALS = 2000


@given(scores=st.lists(st.integers(0, 6), min_size=1, max_size=40), seed=st.integers(0, 1000))
def test_resampled_auroc_with_ties_and_lost_classes_equals_the_ranked_one(
    scores: list[int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    positive = random.random(len(scores)) < random.random()
    weights = random.poisson(0.7, (len(scores), 20)).astype(np.float32)
    values = np.array(scores, dtype=float)
    found = resampled_auroc(values, positive, weights)
    np.testing.assert_array_equal(found, weighted_auroc(values, positive, weights.T))


def test_patient_weights_draw_whole_patients_and_the_same_at_every_call() -> None:
    patients = ["a", "b", "a", "c", "b"]
    chunks = list(patient_weights(patients, 1203))
    weights = np.concatenate([drawn for _, drawn in chunks], axis=1)
    assert weights.shape == (5, 1203)
    assert [index for chunk, _ in chunks for index in range(1203)[chunk]] == list(range(1203))
    np.testing.assert_array_equal(weights[0], weights[2])
    np.testing.assert_array_equal(weights[1], weights[4])
    assert (weights[0] + weights[1] + weights[3] == 3).all()
    assert not np.array_equal(chunks[0][1], chunks[1][1])
    again = np.concatenate([drawn for _, drawn in patient_weights(patients, 1203)], axis=1)
    np.testing.assert_array_equal(weights, again)


def test_seeds_that_agree_or_stand_alone_have_no_distance() -> None:
    np.testing.assert_allclose(seed_distances(np.full(3, 0.7), 500), 0, atol=1e-12)
    np.testing.assert_array_equal(seed_distances(np.array([0.7]), 4), np.zeros(4))


def test_many_seeds_leave_the_ordinary_bootstrap() -> None:
    values = np.random.default_rng(0).normal(size=400)
    assert abs(seed_distances(values, 4000).std() / (values.std() / 20) - 1) < 0.05


def test_interval_over_three_seeds_holds_the_truth_where_the_ordinary_bootstrap_does_not() -> None:
    """Differences that vary with the seed alone, normal around 0; also what the notes state."""
    random = np.random.default_rng(1)
    differences = random.normal(size=(_TRIALS, 3))
    shares = random.multinomial(3, np.full(3, 1 / 3), 2000) / 3
    ours = [values_S.mean() + seed_distances(values_S, 2000) for values_S in differences]
    covered = {}
    for name, draws in (("ours", np.stack(ours)), ("ordinary", differences @ shares.T)):
        low, high = np.quantile(draws, [0.025, 0.975], axis=1)
        covered[name] = np.mean((low <= 0) & (high >= 0))
    assert 0.93 <= covered["ours"] <= 0.97
    assert 0.72 <= covered["ordinary"] <= 0.78


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_p_values_over_seeds_stay_right_far_below_five_percent(num_seeds: int) -> None:
    random = np.random.default_rng(2)
    p_values = np.array(
        [
            two_sided_p(values_S.mean() + seed_distances(values_S, 2000))
            for values_S in random.normal(size=(_TRIALS, num_seeds))
        ]
    )
    assert 0.035 <= np.mean(p_values < 0.05) <= 0.065
    assert np.mean(p_values < 0.05 / 12) <= 0.008


def test_resamples_grow_so_that_a_corrected_p_value_can_be_small() -> None:
    assert resamples_for(3) == 2000
    num = resamples_for(80)
    assert 80 * two_sided_p(np.full(num, 0.1)) < 0.05
