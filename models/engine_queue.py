"""The queue before a shard's engines that take batches: samples submitted, outcomes received.

Engine batches form across units and tries, so that retries of single samples leave no engine
idle. An out-of-memory batch is halved and the smaller size remembered.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Generic, Protocol, Self

from models.engine_process import EngineProcess
from models.engines import Placement
from models.pending import OutcomeT, Pending, RequestT, fail, stopped, takes_outcome
from models.stations import Station, StationConfig
from storage.errors import EngineOutOfMemory

BATCH_TIMEOUT_SECONDS = 600.0

logger = logging.getLogger(__name__)


class _Engine(Protocol):
    @property
    def max_batch_size(self) -> int: ...

    def call(self, requests: Sequence[Any]) -> Sequence[Any]: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...


class _InProcessEngine:
    """A light station in the caller's own process."""

    def __init__(self, config: StationConfig) -> None:
        self._station: Station[Any, Any] = config.open()

    @property
    def max_batch_size(self) -> int:
        return self._station.max_batch_size

    def call(self, requests: Sequence[Any]) -> Sequence[Any]:
        return self._station.run(requests)

    def stop(self) -> None:
        self._station.close()

    def kill(self) -> None:
        """A call in this process cannot be broken off."""


class EngineQueue(Generic[RequestT, OutcomeT]):
    """Drives the engines of one shard; a context manager.

    Args:
        config: The station to open.
        num_processes: Engines side by side; None for what the station's placement asks.
        max_batch_size: Upper bound on an engine batch; None for the station's own.
        batch_timeout_seconds: After this the engine is called hung, killed and restarted.
    """

    def __init__(
        self,
        config: StationConfig,
        num_processes: int | None = None,
        max_batch_size: int | None = None,
        batch_timeout_seconds: float = BATCH_TIMEOUT_SECONDS,
    ) -> None:
        self._config = config
        self.num_processes = num_processes or default_num_processes(config.placement)
        self._timeout_seconds = batch_timeout_seconds
        self._batch_limit = max_batch_size
        self._pending: deque[Pending[RequestT, OutcomeT]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._broken_off = False
        self._engines: list[_Engine] = []
        self._drivers = [
            threading.Thread(target=self._drive, name=f"engine-{number}", daemon=True)
            for number in range(self.num_processes)
        ]

    def __enter__(self) -> Self:
        """Start the drivers; engines load while the first units are read."""
        for driver in self._drivers:
            driver.start()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        """Refuse what is still pending and end the engines; on an error also amid a batch."""
        with self._changed:
            self._closed = True
            self._broken_off = error is not None
            fail([one for one in self._pending if takes_outcome(one)], stopped())
            self._pending.clear()
            self._changed.notify_all()
            if self._broken_off:
                for engine in self._engines:
                    engine.kill()
        for driver in self._drivers:
            driver.join()

    def submit(self, request: RequestT, group: str = "") -> "Future[OutcomeT]":
        """Ask for one outcome.

        Args:
            request: What the station's `run` takes.
            group: Requests of different groups never share an engine batch; a unit under
                suspicion names its own, so that its fault disturbs no other unit.

        Returns:
            Resolves to the outcome, or to EngineFailed / EngineUnavailable.
        """
        waiting: Pending[RequestT, OutcomeT] = Pending(request, group, Future())
        with self._changed:
            if self._closed:
                raise stopped()
            self._pending.append(waiting)
            self._changed.notify()
        return waiting.future

    def _drive(self) -> None:
        engine: _Engine | None = None
        while batch := self._take_batch(engine):
            try:
                engine = engine or self._open()
                outcomes = engine.call([waiting.request for waiting in batch])
                assert len(outcomes) == len(batch)
            except EngineOutOfMemory as error:
                self._halve(batch, error)
            except Exception as error:  # noqa: BLE001 - the waiting units must hear every reason
                fail(batch, stopped() if self._broken_off else error)
            else:
                for waiting, outcome in zip(batch, outcomes, strict=True):
                    waiting.future.set_result(outcome)
        # Nothing above may raise: who waits for a driver that is gone waits for ever.
        if engine is not None:
            engine.stop()

    def _open(self) -> _Engine:
        if self._config.placement is Placement.IN_PROCESS:
            return _InProcessEngine(self._config)
        process = EngineProcess(self._config, self._timeout_seconds)
        with self._changed:
            if self._broken_off:
                raise stopped()
            self._engines.append(process)
        process.start()
        return process

    def _take_batch(self, engine: _Engine | None) -> list[Pending[RequestT, OutcomeT]]:
        """Wait for work; an empty batch means the queue is closed."""
        batch: list[Pending[RequestT, OutcomeT]] = []
        with self._changed:
            while not batch and not self._closed:
                while not self._pending and not self._closed:
                    self._changed.wait()
                size = self._batch_size(engine)
                while self._pending and len(batch) < size:
                    if batch and self._pending[0].group != batch[0].group:
                        break
                    waiting = self._pending.popleft()
                    if takes_outcome(waiting):
                        batch.append(waiting)
        return batch

    def _batch_size(self, engine: _Engine | None) -> int:
        """A fair share of what waits, within the limits; small until the engine is known."""
        limits = [-(-len(self._pending) // self.num_processes)]
        if self._batch_limit is not None:
            limits.append(self._batch_limit)
        limits.append(engine.max_batch_size if engine is not None else 1)
        return max(1, min(limits))

    def _halve(self, batch: list[Pending[RequestT, OutcomeT]], error: EngineOutOfMemory) -> None:
        """Put the batch back, to be run in halves from now on; a single request has failed."""
        if len(batch) == 1:
            fail(batch, error)
            return
        with self._changed:
            # Another engine's larger batch may fail after a smaller one has set the limit.
            self._batch_limit = min(len(batch) // 2, self._batch_limit or len(batch))
            logger.warning("engine out of memory; engine batches of %d now", self._batch_limit)
            self._pending.extendleft(reversed(batch))
            self._changed.notify_all()


def default_num_processes(placement: Placement) -> int:
    """Engines side by side that a placement asks for on this host."""
    if placement is Placement.PROCESS_PER_CORE:
        return len(os.sched_getaffinity(0))
    return 1
