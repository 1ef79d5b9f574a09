"""The figures of `benchmarks.painter_quality`, against obvious references."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from benchmarks.painter_quality import (
    NUM_GROUPS,
    ImageSet,
    frechet_distance,
    kernel_distance,
    memorisation,
    with_interval,
)


def normal(seed: int, count: int, mean: float = 0.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(mean, 1, (count, 6))


def test_frechet_distance_equals_the_matrix_square_root() -> None:
    x, y = normal(1, 300) * [1, 2, 3, 1, 1, 1], normal(2, 200, 0.5)
    shift = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
    of_x, of_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = shift + np.trace(of_x + of_y - 2 * np.real(sqrtm(of_x @ of_y)))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_equals_the_sum_over_pairs_and_is_zero_on_average() -> None:
    x, y = normal(1, 7), normal(2, 5, 1.0)

    def mean(a: NDArray[np.float64], b: NDArray[np.float64], same: bool) -> float:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not same or i != j]
        return float(np.mean([(a[i] @ b[j] / 6 + 1) ** 3 for i, j in pairs]))

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    assert kernel_distance(x, y) == pytest.approx(expected)
    draws = [kernel_distance(normal(k, 50), normal(1000 + k, 50)) for k in range(100)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / 10


def test_with_interval_covers_the_truth_nineteen_times_of_twenty() -> None:
    """The squared distance of two means has a known truth: 6 features, 1 apart."""

    def statistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float((x.mean(axis=0) - y.mean(axis=0)).mean())

    groups, hits = np.arange(100) % NUM_GROUPS, 0
    for seed in range(200):
        value, low, high = with_interval(
            statistic, normal(seed, 100, 1.0), normal(5000 + seed, 100), groups, groups
        )
        assert low <= value <= high
        hits += low <= 1.0 <= high
    assert 180 <= hits <= 198


def test_memorisation_tells_a_copier_from_a_painter() -> None:
    random = np.random.default_rng(4)

    def images(count: int) -> NDArray[np.uint8]:
        return random.integers(0, 255, (count, 8, 8), np.uint8)

    def image_set(pixels: NDArray[np.uint8]) -> ImageSet:
        return ImageSet(pixels, np.arange(len(pixels)) % NUM_GROUPS)

    training, held_out = image_set(images(60)), image_set(images(60))
    copier = memorisation(image_set(training.pixels_NSS[:20]), training, held_out)
    painter = memorisation(image_set(images(20)), training, held_out)
    assert copier["share_nearer_to_training"] == [1.0, 1.0, 1.0]
    assert copier["smallest_to_any_training"] == 0
    assert copier["fewest_signature_bits_to_any_training"] == 0
    share, low, high = np.array(painter["share_nearer_to_training"])
    assert low < 0.5 < high, share
