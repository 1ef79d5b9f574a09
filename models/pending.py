"""A request that waits in a queue for its outcome, and what may become of it."""

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from storage.errors import EngineFailed, EngineStopped, EngineUnavailable

RequestT = TypeVar("RequestT")
OutcomeT = TypeVar("OutcomeT")


@dataclass(frozen=True, slots=True)
class Pending(Generic[RequestT, OutcomeT]):
    """What was submitted; see `submit` of the queues."""

    request: RequestT
    group: str
    future: "Future[OutcomeT]"


def takes_outcome(waiting: Pending[Any, Any]) -> bool:
    """Whether somebody waits for it still; from now on it can no more be cancelled."""
    return waiting.future.running() or waiting.future.set_running_or_notify_cancel()


def fail(batch: Iterable[Pending[Any, Any]], error: BaseException) -> None:
    """Tell all of them; what an engine does not say in our words becomes EngineFailed."""
    known = isinstance(error, EngineFailed | EngineUnavailable | EngineStopped)
    for waiting in batch:
        waiting.future.set_exception(
            error if known else EngineFailed(f"{type(error).__name__}: {error}")
        )


def stopped() -> EngineStopped:
    """What those hear that wait as the shard ends."""
    return EngineStopped("the engine queue is closed: its shard was ended")
