import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from models.downstream.metrics import (
    auroc,
    bootstrap_aurocs,
    percentile_interval,
    resample_weights,
    weighted_auroc,
)


@given(
    scores=st.lists(st.integers(-5, 5), min_size=4, max_size=60),
    seed=st.integers(0, 1000),
)
def test_auroc_with_ties_equals_scikit_learn(scores: list[int], seed: int) -> None:
    positive = np.random.default_rng(seed).random(len(scores)) < 0.4
    positive[:2] = [True, False]
    values = np.array(scores, dtype=float)
    assert auroc(values, positive) == pytest.approx(roc_auc_score(positive, values), abs=1e-12)


@given(seed=st.integers(0, 1000))
def test_weighted_auroc_equals_scikit_learn_on_the_repeated_images(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, positive = random.integers(0, 9, 30).astype(float), random.random(30) < 0.5
    weights = random.integers(0, 4, 30)
    weights[:2], positive[:2] = 1, [True, False]
    rows = np.repeat(np.arange(30), weights)
    expected = roc_auc_score(positive[rows], scores[rows])
    assert weighted_auroc(scores, positive, weights[None])[0] == pytest.approx(expected)


def test_auroc_without_both_classes_is_nan() -> None:
    assert np.isnan(auroc(np.array([0.1, 0.2]), np.array([True, True])))
    assert np.isnan(auroc(np.array([]), np.array([], dtype=bool)))


def test_resample_weights_draws_whole_patients() -> None:
    weights = resample_weights(["a", "b", "a", "c", "b"], 50, seed=1)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 1] + weights[:, 3] == 3).all()


def test_bootstrap_same_seed_same_result_other_seed_other() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.random((40, 2)), random.integers(0, 2, (40, 2)).astype(np.int8)
    groups = [str(k) for k in range(40)]
    first, again, other = (bootstrap_aurocs(scores, labels, groups, 100, s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Scores of positives N(1, 1), of negatives N(0, 1): AUROC = Phi(1/sqrt 2) = 0.7602."""
    covered = 0
    for trial in range(200):
        random = np.random.default_rng(trial)
        labels = (random.random(150) < 0.4).astype(np.int8)
        scores = random.normal(labels, 1)
        values = bootstrap_aurocs(
            scores[:, None], labels[:, None], list(map(str, range(150))), 300, 0
        )
        interval = percentile_interval(values[:, 0], 0.95)
        assert interval is not None
        covered += interval.low <= 0.7602 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_bootstrap_over_patients_is_wider_than_over_images_when_images_repeat() -> None:
    random = np.random.default_rng(3)
    labels = np.repeat((random.random(30) < 0.5).astype(np.int8), 5)
    scores = np.repeat(random.normal(size=30), 5) + labels
    spread = [
        bootstrap_aurocs(scores[:, None], labels[:, None], groups, 500, 0).std()
        for groups in ([str(k // 5) for k in range(150)], [str(k) for k in range(150)])
    ]
    assert spread[0] > 1.5 * spread[1]


def test_bootstrap_unknown_labels_are_left_out() -> None:
    scores = np.array([[0.9], [0.1], [0.5]])
    labels = np.array([[1], [0], [-1]], dtype=np.int8)
    values = bootstrap_aurocs(scores, labels, ["a", "b", "c"], 100, 0)
    assert set(values[np.isfinite(values)].tolist()) == {1.0}


def test_percentile_interval_of_nothing_defined_is_none() -> None:
    assert percentile_interval(np.array([np.nan, np.nan]), 0.95) is None


def test_bootstrap_a_thousand_resamples_of_a_thousand_images_takes_seconds() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (1000, 14)).astype(np.int8)
    began = time.process_time()
    bootstrap_aurocs(random.random((1000, 14)), labels, list(map(str, range(1000))), 1000, 0)
    assert time.process_time() - began < 20  # about 1 s; the bound only catches another algorithm
