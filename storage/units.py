"""Units and shards: fixed ranges of sample indices. Pure functions of the plan."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """Sample indices `start` ≤ index < `stop`: one ledger record per stage."""

    number: int
    start: int
    stop: int

    @property
    def indices(self) -> range:
        """The sample indices of this unit."""
        return range(self.start, self.stop)

    @property
    def num_samples(self) -> int:
        """How many samples the unit holds, at least 1."""
        return self.stop - self.start


def partition(num_target: int | None, num_candidates: int, unit_size: int) -> list[Unit]:
    """Cut the candidates into units, none of which straddles the target N.

    Args:
        num_target: N of `accepted: N`; None for the target `all`.
        num_candidates: M = N + reserve; all candidates are drawn up front.
        unit_size: Samples per unit; the last unit below N and the last of all may be smaller.

    Raises:
        ValueError: If the numbers cannot be a plan.
    """
    if unit_size < 1:
        raise ValueError(f"unit_size must be at least 1, got {unit_size!r}")
    if num_candidates < 1:
        raise ValueError(f"num_candidates must be at least 1, got {num_candidates!r}")
    if num_target is not None and not 1 <= num_target <= num_candidates:
        raise ValueError(
            f"num_target must be 1 to num_candidates ({num_candidates}), got {num_target!r}; "
            "add reserves or lower the target"
        )
    target = num_candidates if num_target is None else num_target
    starts = [*range(0, target, unit_size), *range(target, num_candidates, unit_size)]
    stops = [*starts[1:], num_candidates]
    return [
        Unit(number, start, stop)
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def shards(units: Sequence[Unit], shard_size: int) -> list[tuple[Unit, ...]]:
    """Runs of `shard_size` units, in order: each handled by one flow run on one GPU group."""
    if shard_size < 1:
        raise ValueError(f"shard_size must be at least 1, got {shard_size!r}")
    return [tuple(units[first : first + shard_size]) for first in range(0, len(units), shard_size)]
