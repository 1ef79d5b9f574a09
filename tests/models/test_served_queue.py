"""Requests to a served engine: as many at once as it takes, and what may befall them."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait

import pytest

from models.served_queue import ServedQueue
from storage.errors import EngineFailed, EngineStopped, EngineUnavailable
from tests.models.fake_served import FakeEngine, FakeStation, Outcome


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_queue_many_requests_answers_each_with_its_own_outcome() -> None:
    engine = FakeEngine()
    with ServedQueue[int, Outcome](FakeStation(engine)) as queue:
        futures = [queue.submit(number) for number in range(40)]
        assert [future.result(10)[0] for future in futures] == list(range(0, 80, 2))
    assert max(map(len, engine.together)) == 4
    assert engine.told == ["close"]


def test_queue_limit_of_the_plan_lowers_the_engines() -> None:
    engine = FakeEngine(max_in_flight=100)
    with ServedQueue[int, Outcome](FakeStation(engine), max_in_flight=3) as queue:
        wait([queue.submit(number) for number in range(12)], 10)
    assert max(map(len, engine.together)) == 3


def test_queue_slow_gate_holds_up_no_request_and_takes_together_what_has_come_back() -> None:
    engine = FakeEngine()
    gated: list[int] = []

    def until_all_were_asked(requests: Sequence[int]) -> None:
        gated.append(len(requests))
        wait_until(lambda: len(engine.together) == 20 and not engine.in_flight)

    with ServedQueue[int, Outcome](FakeStation(engine, until_all_were_asked)) as queue:
        futures = [queue.submit(number) for number in range(20)]
        outcomes = [future.result(30) for future in futures]
    assert [doubled for doubled, _ in outcomes] == list(range(0, 40, 2))
    assert len(gated) == 2
    assert sum(gated) == 20


def test_queue_gate_that_fails_fails_what_was_put_to_it_and_goes_on() -> None:
    def refuse_three(requests: Sequence[int]) -> None:
        if 3 in requests:
            raise EngineFailed("engine process died (exit status 9)")

    with ServedQueue[int, Outcome](FakeStation(at_gate=refuse_three)) as queue:
        with pytest.raises(EngineFailed, match="exit status 9"):
            queue.submit(3).result(10)
        assert queue.submit(4).result(10) == (8, 1)


def test_queue_request_that_fails_fails_alone() -> None:
    engine = FakeEngine(poison=frozenset({1}), cancelled=frozenset({3}))
    with ServedQueue[int, Outcome](FakeStation(engine)) as queue:
        futures = [queue.submit(number) for number in range(4)]
        with pytest.raises(EngineFailed, match="ZeroDivisionError: poison"):
            futures[1].result(10)
        with pytest.raises(EngineFailed, match="broke off its own request"):
            futures[3].result(10)
        assert [futures[number].result(10)[0] for number in (0, 2)] == [0, 4]


def test_queue_group_under_suspicion_is_alone_in_flight_and_fails_no_other() -> None:
    engine = FakeEngine(deadly=frozenset({7}))
    with ServedQueue[int, Outcome](FakeStation(engine)) as queue:
        before = [queue.submit(number) for number in range(5)]
        suspects = [queue.submit(number, group="unit 1") for number in (6, 7, 8)]
        after = [queue.submit(number) for number in range(10, 15)]
        wait([*before, *suspects, *after], 10)
    for seen in engine.together:
        assert seen <= {6, 7, 8} or not seen & {6, 7, 8}
    assert max(map(len, engine.together)) == 4
    assert all(isinstance(future.exception(), EngineFailed) for future in suspects[:2])
    assert all(future.exception() is None for future in [*before, *after])


def test_queue_cancelled_request_is_never_asked() -> None:
    engine = FakeEngine(max_in_flight=1)
    with ServedQueue[int, Outcome](FakeStation(engine)) as queue:
        first, second, third = (queue.submit(number) for number in range(3))
        assert second.cancel()
        wait([first, third], 10)
    assert engine.together == [frozenset({0}), frozenset({2})]


def test_queue_engine_cannot_start_every_request_hears_why() -> None:
    engine = FakeEngine(missing=True)
    with ServedQueue[int, Outcome](FakeStation(engine)) as queue:
        for future in [queue.submit(1), queue.submit(2)]:
            with pytest.raises(EngineUnavailable, match="install fake-weights"):
                future.result(10)
        engine.missing = False
        assert queue.submit(3).result(10) == (6, 1)


def test_queue_silent_server_fails_all_in_flight_is_ended_and_asked_again() -> None:
    engine = FakeEngine(max_in_flight=2, silent=frozenset({1, 2}))
    station = FakeStation(engine)
    with ServedQueue[int, Outcome](station, silence_seconds=0.3) as queue:
        futures = [queue.submit(number) for number in range(4)]
        for future in futures[1:3]:
            with pytest.raises(EngineFailed, match=r"hung: no answer in 0.3 s to any of 2 req"):
                future.result(10)
        assert [futures[number].result(10)[0] for number in (0, 3)] == [0, 6]
    assert engine.told == ["abandon", "close"]


def test_queue_answers_one_after_the_other_are_no_silence() -> None:
    engine = FakeEngine(max_in_flight=2, silent=frozenset({0}))
    with ServedQueue[int, Outcome](FakeStation(engine), silence_seconds=1.0) as queue:
        slow = queue.submit(0)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            queue.submit(1).result(10)
        assert not slow.done()


def test_queue_closed_breaks_off_at_once_and_leaves_no_thread() -> None:
    engine = FakeEngine(max_in_flight=1, silent=frozenset({1}))
    queue = ServedQueue[int, Outcome](FakeStation(engine))
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt), queue:
        assert queue.submit(0).result(10) == (0, 1)
        futures = [queue.submit(1), queue.submit(2)]
        wait_until(lambda: bool(engine.in_flight))
        raise KeyboardInterrupt
    for future in futures:
        with pytest.raises(EngineStopped):
            future.result(0)
    with pytest.raises(EngineStopped, match="closed"):
        queue.submit(3)
    assert engine.told == ["close"]
    assert set(threading.enumerate()) <= before
