"""An idle pool is said when it becomes so, once, and when it no longer is."""

import logging

import pytest

from flows import pool_watch
from flows.pool_watch import PoolWatch
from tasks.waiting import IdlePool

PAUSED = IdlePool("gpu-image", 2, True, 1.0)
DESERTED = IdlePool("gpu-image", 2, False, 50.0)
LONGER = IdlePool("gpu-image", 1, False, 60.0)


def test_look_speaks_of_what_has_changed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[list[IdlePool]] = [[], [PAUSED], [PAUSED], [DESERTED], [LONGER], [], []]
    num_looks = len(found)
    shown: list[list[IdlePool]] = []
    monkeypatch.setattr(pool_watch, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(pool_watch, "get_run_logger", lambda: logging.getLogger("run"))
    monkeypatch.setattr(pool_watch, "show_idle_pools", lambda _, pools: shown.append(pools))
    watch = PoolWatch("tiny", lambda _: found.pop(0))
    with caplog.at_level(logging.INFO, "run"):
        for _ in range(num_looks):
            watch.look([])
    assert caplog.messages == [str(PAUSED), str(DESERTED), "no shard waits in vain any more"]
    assert shown == [[PAUSED], [DESERTED], []]


def test_look_asks_the_server_only_now_and_then() -> None:
    def ask(_: object) -> list[IdlePool]:
        raise AssertionError("asked at once")

    PoolWatch("tiny", ask).look([])
