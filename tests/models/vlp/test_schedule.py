import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vlp.configs import TrainingConfig
from models.vlp.schedule import (
    Purpose,
    batch_pairs,
    learning_rate,
    numpy_random,
    pairs_per_step,
    torch_seed,
)


@given(
    num_pairs=st.integers(4, 50),
    batch_size=st.integers(2, 4),
    cut=st.integers(1, 39),
    seed=st.integers(0, 2**63 - 1),
)
def test_batch_pairs_cut_anywhere_gives_the_same_batches(
    num_pairs: int, batch_size: int, cut: int, seed: int
) -> None:
    whole = batch_pairs(seed, num_pairs, batch_size, 1, 40)
    parts = batch_pairs(seed, num_pairs, batch_size, 1, cut) + batch_pairs(
        seed, num_pairs, batch_size, cut + 1, 40
    )
    assert [list(batch) for batch in whole] == [list(batch) for batch in parts]
    assert len(whole) == 40


def test_batch_pairs_epoch_shows_every_pair_once_in_a_new_order() -> None:
    batches = batch_pairs(5, 12, 4, 1, 6)
    first, second = np.concatenate(batches[:3]), np.concatenate(batches[3:])
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


def test_pairs_per_step_must_be_shared_out_and_cut_without_rest() -> None:
    settings = TrainingConfig(batch_size=24, chunk_size=4)
    assert pairs_per_step(settings, 100, num_ranks=3) == 24
    with pytest.raises(ValueError, match="num_processes must divide the batch of 24 pairs, got 5"):
        pairs_per_step(settings, 100, num_ranks=5)
    with pytest.raises(ValueError, match="batch of 3 pairs of each process, got 4"):
        pairs_per_step(settings, 100, num_ranks=8)


def test_learning_rate_rises_peaks_and_ends_at_zero() -> None:
    rates = [learning_rate(step, 100, 0.01, 0.1) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == rates[9] == pytest.approx(0.01)
    assert rates[54] == pytest.approx(0.005)
    assert rates[-1] == pytest.approx(0, abs=1e-12)


def test_learning_rate_without_warmup_begins_near_the_peak() -> None:
    assert learning_rate(1, 100, 1.0, 0) == pytest.approx((1 + math.cos(math.pi / 100)) / 2)


def test_random_streams_differ_by_seed_purpose_and_step() -> None:
    draws = {
        numpy_random(seed, purpose, step).integers(2**62)
        for seed in (0, 1)
        for purpose in Purpose
        for step in (1, 2)
    }
    assert len(draws) == 2 * len(Purpose) * 2


def test_torch_seed_is_stable_for_ever() -> None:
    assert torch_seed(0, Purpose.IMAGE, 1) == torch_seed(0, Purpose.IMAGE, 1)
    assert 0 <= torch_seed(2**63 - 1, Purpose.DROPOUT, 10**9) < 2**63
