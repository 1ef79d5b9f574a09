from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.settling import run_tries, settle_by_bisection
from storage.errors import EngineFailed
from storage.records import RejectionReason, Verdict


@dataclass(frozen=True)
class Outcome:
    verdict: Verdict
    engine_seconds: float = 1.0
    num_tokens: int = 10


PASSED = Outcome(Verdict(None))
REFUSED = Outcome(Verdict(RejectionReason.EXTRA_ENTITY))


def _done(outcome: Outcome) -> "Future[Outcome]":
    future: Future[Outcome] = Future()
    future.set_result(outcome)
    return future


def test_run_tries_refused_item_is_tried_until_it_passes() -> None:
    passes_at = {"a": 1, "b": 3, "c": 9}
    tried = run_tries(
        list(passes_at),
        lambda item, number: _done(PASSED if number >= passes_at[item] else REFUSED),
        max_tries=4,
    )
    assert [result.num_tries for result in tried] == [1, 3, 4]
    assert [result.outcome.verdict.passed for result in tried] == [True, True, False]
    assert [result.engine_seconds for result in tried] == [1.0, 3.0, 4.0]
    assert [result.num_tokens for result in tried] == [10, 30, 40]


def test_run_tries_engine_failure_is_raised_and_the_rest_cancelled() -> None:
    futures: list[Future[Outcome]] = [Future(), Future()]
    futures[0].set_exception(EngineFailed("died"))
    with pytest.raises(EngineFailed, match="died"):
        run_tries([0, 1], lambda item, _: futures[item], max_tries=1)
    assert futures[1].cancelled()


def test_run_tries_time_out_fails_and_cancels() -> None:
    never: Future[Outcome] = Future()
    with pytest.raises(EngineFailed, match=r"1 of 1 samples not done in 0\.05 s"):
        run_tries([0], lambda item, _: never, max_tries=1, timeout_seconds=0.05)
    assert never.cancelled()


@given(st.integers(2, 300), st.data())
def test_bisection_one_item_at_fault_is_found_within_the_bound(
    num: int, data: st.DataObject
) -> None:
    bad = data.draw(st.integers(0, num - 1))
    calls = 0

    def settle(part: Sequence[int]) -> list[str]:
        nonlocal calls
        calls += 1
        if bad in part:
            raise EngineFailed("poison")
        return [f"row {item}" for item in part]

    rows = settle_by_bisection(
        range(num), settle, lambda item, error: f"quarantined {item}: {error}"
    )
    expected = [f"row {i}" if i != bad else f"quarantined {i}: poison" for i in range(num)]
    assert rows == expected
    assert calls <= 1 + 2 * ceil(log2(num))


def test_bisection_every_item_fails_blames_the_engine() -> None:
    def settle(part: Sequence[int]) -> list[str]:
        raise EngineFailed("no device")

    with pytest.raises(EngineFailed, match="fails on every sample: no device"):
        settle_by_bisection(range(4), settle, lambda item, error: "quarantined")
