"""Which pools are called idle, and in what words; real ones are in tests/flows."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.waiting import IdlePool, idle_pools

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class OnePool:
    """Stands for the server: one pool, whose workers were last heard so many seconds ago."""

    def __init__(self, *heard_seconds_ago: float | None, is_paused: bool = False) -> None:
        self._pool = SimpleNamespace(is_paused=is_paused)
        self._workers = [
            SimpleNamespace(
                last_heartbeat_time=None if ago is None else NOW - timedelta(seconds=ago),
                heartbeat_interval_seconds=30,
            )
            for ago in heard_seconds_ago
        ]

    def read_work_pool(self, _: str) -> Any:
        return self._pool

    def read_workers_for_work_pool(self, _: str) -> Any:
        return self._workers

    def hello(self) -> Any:
        return SimpleNamespace(headers={"date": "Thu, 01 Jan 2026 12:00:00 GMT"})


def _idle(server: OnePool) -> list[IdlePool]:
    runs: Any = [SimpleNamespace(work_pool_name="gpu-image")] * 3
    return idle_pools(server, runs)  # type: ignore[arg-type]


@pytest.mark.parametrize("heard", [(3.0,), (None, 40.0), (500.0, 3.0)])
def test_pool_with_a_worker_that_was_heard_is_not_idle(heard: tuple[float | None, ...]) -> None:
    assert _idle(OnePool(*heard)) == []


def test_pool_whose_workers_fell_silent_is_idle_within_a_minute() -> None:
    assert _idle(OnePool(46.0, 300.0)) == [IdlePool("gpu-image", 3, False, 46.0)]


def test_paused_pool_is_idle_whoever_serves_it() -> None:
    (found,) = _idle(OnePool(1.0, is_paused=True))
    assert str(found) == (
        "pool gpu-image: paused; 3 shards wait; go on with prefect work-pool resume gpu-image"
    )


@pytest.mark.parametrize(("silent", "since"), [(None, ""), (61.4, " for 61 s")])
def test_pool_without_a_worker_says_how_to_start_one(silent: float | None, since: str) -> None:
    assert str(IdlePool("gpu-image", 1, False, silent)) == (
        f"pool gpu-image: no worker online{since}; 1 shard waits; start one with "
        "prefect worker start --pool gpu-image --type process"
    )
