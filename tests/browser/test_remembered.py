"""Answers are worked out once for all who ask at once, and held within their bound."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from browser.remembered import Remembered

DEADLINE_SECONDS = 30
PEOPLE = 32


def _unexpected() -> int:
    raise AssertionError("an answer that is held is not worked out again")


def test_many_who_ask_at_once_wait_for_one_answer() -> None:
    remembered: Remembered[str, int] = Remembered(8, lambda _: 1)
    asked, go_on, worked_out = Barrier(PEOPLE + 1), Event(), list[int]()

    def make() -> int:
        assert go_on.wait(DEADLINE_SECONDS)
        worked_out.append(1)
        return 41

    def ask() -> int:
        asked.wait(DEADLINE_SECONDS)
        return remembered.get("same", make)

    with ThreadPoolExecutor(PEOPLE) as people:
        answers = [people.submit(ask) for _ in range(PEOPLE)]
        asked.wait(DEADLINE_SECONDS)
        go_on.set()
        assert [one.result(DEADLINE_SECONDS) for one in answers] == [41] * PEOPLE
    assert worked_out == [1]


def test_least_lately_asked_are_forgotten_once_they_weigh_too_much() -> None:
    remembered: Remembered[str, int] = Remembered(10, lambda value: value)
    for key, weight in (("a", 4), ("b", 5)):
        assert remembered.get(key, lambda weight=weight: weight) == weight
    assert remembered.get("a", _unexpected) == 4
    assert remembered.get("c", lambda: 3) == 3
    assert remembered.weight == 7
    assert (remembered.get("a", _unexpected), remembered.get("c", _unexpected)) == (4, 3)
    assert remembered.get("b", lambda: 6) == 6
    assert remembered.get("huge", lambda: 11) == 11
    assert remembered.weight == 0


def test_failure_reaches_who_asked_and_is_not_remembered() -> None:
    remembered: Remembered[str, int] = Remembered(10, lambda _: 1)

    def fail() -> int:
        raise ValueError("not now")

    with pytest.raises(ValueError, match="not now"):
        remembered.get("a", fail)
    assert remembered.get("a", lambda: 7) == 7
