import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.units import Unit, partition, shards


@given(st.data(), st.integers(1, 300), st.integers(1, 40))
@settings(derandomize=True, deadline=None)
def test_partition_covers_every_candidate_once_and_never_straddles_the_target(
    data: st.DataObject, num_candidates: int, unit_size: int
) -> None:
    target = data.draw(st.none() | st.integers(1, num_candidates))
    units = partition(target, num_candidates, unit_size)
    assert [index for unit in units for index in unit.indices] == list(range(num_candidates))
    assert [unit.number for unit in units] == list(range(len(units)))
    assert all(1 <= unit.num_samples <= unit_size for unit in units)
    if target is not None:
        assert not any(unit.start < target < unit.stop for unit in units)


def test_partition_is_fixed_by_its_arguments() -> None:
    assert partition(5, 8, 3) == [Unit(0, 0, 3), Unit(1, 3, 5), Unit(2, 5, 8)]


@pytest.mark.parametrize(
    ("target", "candidates", "size", "message"),
    [(9, 8, 1, "num_target"), (0, 8, 1, "num_target"), (1, 0, 1, "num_cand"), (1, 8, 0, "unit_")],
)
def test_partition_impossible_numbers_are_refused(
    target: int, candidates: int, size: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        partition(target, candidates, size)


def test_shards_are_runs_in_order() -> None:
    units = partition(None, 10, 2)
    assert [[unit.number for unit in shard] for shard in shards(units, 2)] == [[0, 1], [2, 3], [4]]
    with pytest.raises(ValueError, match="shard_size must be at least 1, got 0"):
        shards(units, 0)
