"""Order and shares of a training's pairs, by property."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.vlp.configs import TrainingConfig
from models.vlp.pair_order import PairOrder, order_of_mixture, order_of_one
from models.vlp.phases import Batches, PhaseWeights, apportion, take_turns

SEEDS = st.integers(0, 2**63 - 1)
BATCHES: tuple[Batches, ...] = ("mixed", "one_source")
EVEN = [(1.0, (1.0, 1.0))]
UNEVEN = [(1.0, (1e-3, 1.0))]
WEIGHTS = st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, 3.0])] * 3).filter(any)


def mixed(
    sizes: tuple[int, ...],
    phases: list[tuple[float, tuple[float, ...]]],
    batches: Batches = "mixed",
    **training: int,
) -> PairOrder:
    names = [f"source {number}" for number in range(len(sizes))]
    weights = [PhaseWeights(share, of_sources, batches) for share, of_sources in phases]
    return order_of_mixture(TrainingConfig.model_validate(training), names, sizes, weights, 1)


def sources_of(order: PairOrder, batch: NDArray[np.int64]) -> list[int]:
    """How many pairs of each source a batch holds."""
    of_source = np.searchsorted(np.cumsum(order.sizes), batch, side="right")
    return [int(count) for count in np.bincount(of_source, minlength=len(order.sizes))]


@given(seed=SEEDS, num_pairs=st.integers(4, 60), batch_size=st.integers(2, 16))
def test_order_of_one_source_is_the_one_of_every_earlier_release(
    seed: int, num_pairs: int, batch_size: int
) -> None:
    """Written out as runs have drawn since the first: permutations from (seed, 1, epoch)."""
    order = order_of_one(TrainingConfig(seed=seed, batch_size=batch_size, epochs=3), num_pairs, 1)
    size = min(batch_size, num_pairs)
    expected = [
        np.random.default_rng([seed, 1, epoch]).permutation(num_pairs)[at : at + size].tolist()
        for epoch in range(3)
        for at in range(0, num_pairs - size + 1, size)
    ]
    assert [batch.tolist() for batch in order.batches(1, order.num_steps)] == expected
    if num_pairs >= batch_size:
        for batches in BATCHES:
            alone = mixed(
                (num_pairs,), [(1, (1,))], batches, seed=seed, batch_size=batch_size, epochs=3
            )
            assert [batch.tolist() for batch in alone.batches(1, alone.num_steps)] == expected


@given(seed=SEEDS, sizes=st.tuples(st.integers(6, 30), st.integers(6, 30)))
def test_order_of_mixed_batches_is_the_one_of_every_earlier_release(
    seed: int, sizes: tuple[int, int]
) -> None:
    """Written out: orders from (seed, 1, epoch[, source]), mixed in a batch by (seed, 6, step)."""

    def drawn(source: int, step: int) -> NDArray[np.int64]:
        epoch, place = divmod(step - 1, sizes[source] // 3)
        words = [seed, 1, epoch, source] if source else [seed, 1, epoch]
        order = np.random.default_rng(words).permutation(sizes[source])
        return order[3 * place : 3 * place + 3] + source * sizes[0]

    order = mixed(sizes, [(1, (1, 1))], seed=seed, batch_size=6, steps=15)
    for step, batch in enumerate(order.batches(1, 15), start=1):
        both = np.concatenate([drawn(0, step), drawn(1, step)])
        expected = np.random.default_rng([seed, 6, step]).permutation(both)
        assert batch.tolist() == expected.tolist()


@given(
    seed=SEEDS,
    sizes=st.tuples(st.integers(12, 40), st.integers(12, 40), st.integers(12, 40)),
    weights=st.lists(WEIGHTS, min_size=1, max_size=3),
    cut=st.integers(1, 39),
)
def test_mixture_has_exact_shares_no_pair_twice_and_resumes_anywhere(
    seed: int,
    sizes: tuple[int, ...],
    weights: list[tuple[float, ...]],
    cut: int,
) -> None:
    phases = [(1.0, of_sources) for of_sources in weights]
    order = mixed(sizes, phases, seed=seed, batch_size=12, steps=40)
    whole = order.batches(1, 40)
    parts = order.batches(1, cut) + order.batches(cut + 1, 40)
    assert [batch.tolist() for batch in whole] == [batch.tolist() for batch in parts]
    assert len(whole) == 40
    steps = apportion(40, [1.0] * len(weights))
    of_step = [phase for phase, count in zip(weights, steps, strict=True) for _ in range(count)]
    for batch, of_sources in zip(whole, of_step, strict=True):
        assert len(set(batch.tolist())) == 12
        assert sources_of(order, batch) == list(apportion(12, of_sources))


@given(
    seed=SEEDS,
    sizes=st.tuples(st.integers(12, 40), st.integers(12, 40), st.integers(12, 40)),
    weights=st.lists(WEIGHTS, min_size=1, max_size=3),
    cut=st.integers(1, 39),
)
def test_batches_of_one_source_have_exact_shares_and_resume_anywhere(
    seed: int,
    sizes: tuple[int, ...],
    weights: list[tuple[float, ...]],
    cut: int,
) -> None:
    phases = [(1.0, of_sources) for of_sources in weights]
    order = mixed(sizes, phases, "one_source", seed=seed, batch_size=12, steps=40)
    whole = order.batches(1, 40)
    parts = order.batches(1, cut) + order.batches(cut + 1, 40)
    assert [batch.tolist() for batch in whole] == [batch.tolist() for batch in parts]
    assert all(len(set(batch.tolist())) == 12 for batch in whole)
    shown = [sources_of(order, batch) for batch in whole]
    assert all(sorted(counts) == [0, 0, 12] for counts in shown)
    ends = np.cumsum([0, *apportion(40, [1.0] * len(weights))])
    for of_sources, first, last in zip(weights, ends[:-1], ends[1:], strict=True):
        for source, weight in enumerate(of_sources):
            turns = sum(counts[source] > 0 for counts in shown[first:last])
            assert abs(turns - (last - first) * weight / sum(of_sources)) < 1


def test_batches_of_one_source_go_through_all_its_pairs_before_any_comes_again() -> None:
    order = mixed((12, 24), [(1, (1, 3))], "one_source", seed=5, batch_size=6, steps=16)
    shown = order.batches(1, 16)
    first = [batch.tolist() for batch in shown if batch.max() < 12]
    second = [batch.tolist() for batch in shown if batch.min() >= 12]
    assert (len(first), len(second)) == (4, 12)
    for batches, pairs in ((first, range(12)), (second, range(12, 36))):
        per_epoch = len(pairs) // 6
        epochs = np.reshape(batches, (-1, per_epoch * 6))
        assert all(sorted(epoch) == list(pairs) for epoch in epochs.tolist())
        assert len(np.unique(epochs, axis=0)) == len(epochs)


def test_a_source_of_two_phases_in_turns_goes_on_to_new_orders() -> None:
    phases = [(0.5, (1.0, 1.0)), (0.5, (1.0, 1.0))]
    order = mixed((8, 8), phases, "one_source", seed=3, batch_size=8, steps=8)
    shown = [batch.tolist() for batch in order.batches(1, 8) if batch.max() < 8]
    assert len({tuple(batch) for batch in shown}) == 4
    assert all(sorted(batch) == list(range(8)) for batch in shown)


@pytest.mark.parametrize("batches", BATCHES)
def test_number_of_processes_changes_no_batch(batches: Batches) -> None:
    settings = TrainingConfig(seed=7, batch_size=12, steps=9)
    phases = [PhaseWeights(1, (2, 1), batches)]
    orders = [order_of_mixture(settings, ("a", "b"), (30, 20), phases, n) for n in (1, 2, 4)]
    alone, *shared = ([batch.tolist() for batch in one.batches(1, 9)] for one in orders)
    assert all(one == alone for one in shared)


def test_sources_of_equal_weight_take_turns() -> None:
    assert take_turns(5, (1, 1)) == (0, 1, 0, 1, 0)
    assert take_turns(4, (0, 1)) == (1, 1, 1, 1)
    assert sorted(take_turns(8, (3, 1))) == [0] * 6 + [1] * 2


@given(
    weights=st.lists(st.floats(0, 1e6), min_size=1, max_size=6).filter(any),
)
def test_after_any_number_of_turns_each_has_had_its_share_to_within_one(
    weights: list[float],
) -> None:
    turns = take_turns(60, weights)
    whole = sum(map(Fraction, weights))
    for number in range(61):
        for at, weight in enumerate(weights):
            had = turns[:number].count(at)
            assert abs(had - number * Fraction(weight) / whole) < 1


def test_every_source_of_a_mixture_goes_through_its_pairs_in_epochs_of_its_own() -> None:
    order = mixed((12, 24), [(1, (1, 3))], seed=5, batch_size=8, epochs=8)
    assert (order.steps_per_epoch, order.num_steps) == (4, 32)
    shown = np.stack(order.batches(1, order.num_steps))
    first = [shown[at : at + 6][shown[at : at + 6] < 12].tolist() for at in range(0, 30, 6)]
    second = [shown[at : at + 4][shown[at : at + 4] >= 12].tolist() for at in range(0, 32, 4)]
    assert all(sorted(epoch) == list(range(12)) for epoch in first)
    assert all(sorted(epoch) == list(range(12, 36)) for epoch in second)
    assert len({tuple(epoch) for epoch in first}) == 5
    assert len({tuple(epoch) for epoch in second}) == 8


def test_sources_lie_mixed_within_a_batch() -> None:
    """In chunks of a batch, and on each of several GPUs, both are then there."""
    order = mixed((40, 40), [(1, (1, 1))], seed=1, batch_size=32, steps=20)
    halves = [sources_of(order, batch[:16]) for batch in order.batches(1, 20)]
    assert all(min(counts) >= 2 for counts in halves)
    assert len({tuple(counts) for counts in halves}) > 1


def test_phases_one_after_another_show_one_source_each_and_epochs_are_of_all_pairs() -> None:
    order = mixed((16, 16), [(0.5, (1, 0)), (0.5, (0, 1))], seed=3, batch_size=8, epochs=3)
    assert order.num_steps == 12
    counts = [sources_of(order, batch) for batch in order.batches(1, 12)]
    assert counts == [[8, 0]] * 6 + [[0, 8]] * 6


def test_a_source_of_two_phases_goes_on_to_new_orders() -> None:
    order = mixed((16, 16), [(0.5, (1, 0)), (0.5, (1, 1))], seed=3, batch_size=16, steps=4)
    whole = [batch[batch < 16].tolist() for batch in order.batches(1, 4)]
    assert whole[0] != whole[1]
    assert sorted(whole[2] + whole[3]) == list(range(16))


@given(
    total=st.integers(1, 1000),
    weights=st.lists(st.floats(0, 1e6), min_size=1, max_size=8).filter(any),
)
def test_apportion_adds_up_and_is_within_one_of_each_share(
    total: int, weights: list[float]
) -> None:
    counts = apportion(total, weights)
    assert sum(counts) == total
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - total * Fraction(weight) / sum(map(Fraction, weights))) < 1
        assert weight or not count


@pytest.mark.parametrize(
    ("phases", "batches", "training", "line"),
    [
        (EVEN, "mixed", {"batch_size": 26}, "takes 13 different pairs of source 0, which has 12"),
        (UNEVEN, "mixed", {"batch_size": 8}, "source 0 has none by its weight of 0.001"),
        (
            [(0.01, (1, 0)), (0.99, (0, 1))],
            "mixed",
            {"batch_size": 8, "steps": 10},
            "phase 1 has none of 10 by its share of 0.01",
        ),
        (EVEN, "mixed", {"batch_size": 8, "chunk_size": 3}, "chunk_size must divide the batch"),
        (EVEN, "one_source", {"batch_size": 16}, "takes 16 different pairs, source 0 has 12"),
        (
            UNEVEN,
            "one_source",
            {"batch_size": 8, "steps": 10},
            "must have a batch, source 0 has none of 10 by its weight of 0.001",
        ),
    ],
)
def test_mixture_that_cannot_be_ordered_says_why(
    phases: list[tuple[float, tuple[float, ...]]],
    batches: Batches,
    training: dict[str, int],
    line: str,
) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        mixed((12, 20), phases, batches, **training)
    assert "\n" not in str(caught.value)
