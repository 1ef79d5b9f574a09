"""The queue before a shard's engine that is served: requests go in as earlier ones come back.

One thread runs an event loop in which up to `max_in_flight` requests wait for the server; a slow
answer holds up no other. What has come back is put to the gate together, in a thread beside it.
"""

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Generic, Self

from models.pending import OutcomeT, Pending, RequestT, fail, stopped, takes_outcome
from models.served_engines import ServedStation, ServedStationConfig
from storage.errors import EngineFailed

SILENCE_SECONDS = 600.0  # after so long without any answer a server is called hung


class ServedQueue(Generic[RequestT, OutcomeT]):
    """Keeps the server of one shard busy; a context manager.

    Args:
        config: The station to open.
        max_in_flight: Upper bound on requests in flight; None for the engine's own.
        silence_seconds: After so long without any answer the server is called hung.
    """

    def __init__(
        self,
        config: ServedStationConfig,
        max_in_flight: int | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._config = config
        self._limit = max_in_flight
        self._silence_seconds = silence_seconds
        self._pending: deque[Pending[RequestT, OutcomeT]] = deque()
        self._closing = threading.Lock()  # a loop that has ended cannot be woken
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="served-engine", daemon=True)
        self._running = threading.Event()
        # Of the event loop's thread alone:
        self._changed = asyncio.Event()
        self._asking: dict[asyncio.Task[Any], Pending[RequestT, OutcomeT]] = {}
        self._answered: list[tuple[Pending[RequestT, OutcomeT], Any]] = []
        self._judging: asyncio.Task[None] | None = None
        self._num_begun = 0  # and without an outcome: asked, or put to the gate
        self._group = ""  # of those
        self._heard_at = 0.0  # the loop's clock

    def __enter__(self) -> Self:
        """Start the loop; the engine opens at the first request."""
        self._thread.start()
        self._running.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Break off what is in flight, refuse what is pending, and end the engine."""
        with self._closing:
            self._closed = True
            self._loop.call_soon_threadsafe(self._driving.cancel)
        self._thread.join()

    def submit(self, request: RequestT, group: str = "") -> "Future[OutcomeT]":
        """Ask for one outcome.

        Args:
            request: What the station's `ask` takes.
            group: Requests of different groups are never in flight together; a unit under
                suspicion names its own, so that a server it kills fails no other unit.

        Returns:
            Resolves to the outcome, or to EngineFailed / EngineUnavailable.
        """
        waiting: Pending[RequestT, OutcomeT] = Pending(request, group, Future())
        with self._closing:
            if self._closed:
                raise stopped()
            self._pending.append(waiting)
            self._loop.call_soon_threadsafe(self._changed.set)
        return waiting.future

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._drive())

    async def _drive(self) -> None:
        """Begin requests as there is room, until the queue is closed, which cancels this."""
        self._loop = asyncio.get_running_loop()
        driving = asyncio.current_task()
        assert driving is not None
        self._driving = driving
        self._running.set()
        station: ServedStation[Any, Any, Any] | None = None
        try:
            while True:
                if await self._is_silent() and station is not None:
                    await self._break_off(self._silence())
                    await station.engine.abandon()
                if self._pending:
                    station = await self._begin(station)
        finally:
            await self._end(station)

    async def _is_silent(self) -> bool:
        """Wait for something to do; true if the server has answered nothing for too long."""
        silent_at = self._heard_at + self._silence_seconds if self._asking else None
        with suppress(TimeoutError):
            async with asyncio.timeout_at(silent_at):
                await self._changed.wait()
        self._changed.clear()
        heard_until = self._heard_at + self._silence_seconds
        return bool(self._asking) and self._loop.time() >= heard_until

    async def _begin(
        self, station: ServedStation[Any, Any, Any] | None
    ) -> ServedStation[Any, Any, Any] | None:
        """Send what there is room for; the engine is started first, also after it ended."""
        try:
            station = station or self._config.connect()
            await station.engine.start()
        except Exception as error:  # noqa: BLE001 - the waiting units must hear every reason
            fail(self._take_all(), error)
            return station
        limit = min(self._limit or station.engine.max_in_flight, station.engine.max_in_flight)
        while len(self._asking) < limit and (waiting := self._next()):
            if not self._asking:
                self._heard_at = self._loop.time()
            asking = asyncio.create_task(station.ask(waiting.request))
            asking.add_done_callback(partial(self._came_back, station))
            self._asking[asking] = waiting
            self._num_begun += 1
        return station

    def _next(self) -> Pending[RequestT, OutcomeT] | None:
        """The next that may go beside those begun: one of another group waits for their end."""
        while self._pending and (not self._num_begun or self._pending[0].group == self._group):
            waiting = self._pending.popleft()
            if takes_outcome(waiting):
                self._group = waiting.group
                return waiting
        return None

    def _came_back(self, station: ServedStation[Any, Any, Any], asked: asyncio.Task[Any]) -> None:
        waiting = self._asking.pop(asked, None)
        if waiting is None:
            return  # it was given up
        self._heard_at = self._loop.time()
        self._changed.set()
        broken_off = EngineFailed("the client broke off its own request")
        error = broken_off if asked.cancelled() else asked.exception()
        if error is None:
            self._answered.append((waiting, asked.result()))
            self._judging = self._judging or asyncio.create_task(self._judge(station))
            return
        self._num_begun -= 1
        fail([waiting], error)

    async def _judge(self, station: ServedStation[Any, Any, Any]) -> None:
        """Put what has come back to the gate, as long as more has come meanwhile."""
        while self._answered:
            answered, self._answered = self._answered, []
            requests = [waiting.request for waiting, _ in answered]
            answers = [answer for _, answer in answered]
            try:
                outcomes = await asyncio.to_thread(station.judge, requests, answers)
                assert len(outcomes) == len(answered)
            except Exception as error:  # noqa: BLE001 - the waiting units must hear every reason
                fail([waiting for waiting, _ in answered], error)
            else:
                for (waiting, _), outcome in zip(answered, outcomes, strict=True):
                    waiting.future.set_result(outcome)
            self._num_begun -= len(answered)
            self._changed.set()
        self._judging = None

    def _silence(self) -> EngineFailed:
        return EngineFailed(
            f"the server hung: no answer in {self._silence_seconds:g} s to any of "
            f"{len(self._asking)} requests"
        )

    async def _break_off(self, error: Exception) -> None:
        """Give up what the server was asked; what it has answered is judged all the same."""
        asking, self._asking = self._asking, {}
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        fail(asking.values(), error)
        self._num_begun -= len(asking)

    def _take_all(self) -> list[Pending[RequestT, OutcomeT]]:
        """All that is pending and still wanted."""
        pending = [self._pending.popleft() for _ in range(len(self._pending))]
        return [waiting for waiting in pending if takes_outcome(waiting)]

    async def _end(self, station: ServedStation[Any, Any, Any] | None) -> None:
        with self._closing:
            self._closed = True
        await self._break_off(stopped())
        fail(self._take_all(), stopped())
        if self._judging is not None:
            await self._judging  # a call in another thread cannot be broken off
        if station is not None:
            try:
                station.close()
            finally:
                await station.engine.close()
