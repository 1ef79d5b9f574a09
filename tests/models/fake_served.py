"""A served engine that misbehaves on request, and its station."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from models.engines import EngineInfo
from storage.errors import EngineFailed, EngineUnavailable

Outcome = tuple[int, int]  # (doubled, how many were put to the gate together)


@dataclass
class FakeEngine:
    """Doubles integers.

    `poison` fails, `cancelled` is broken off, `deadly` fails all in flight, `silent` hangs.
    """

    max_in_flight: int = 4
    poison: frozenset[int] = frozenset()
    cancelled: frozenset[int] = frozenset()
    deadly: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()
    missing: bool = False
    in_flight: set[int] = field(default_factory=set)
    together: list[frozenset[int]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    info = EngineInfo("fake", "1", deterministic=True)

    async def start(self) -> None:
        if self.missing:
            raise EngineUnavailable("weights of 'fake' are missing; install fake-weights")

    async def double(self, request: int) -> int:
        self.in_flight.add(request)
        self.together.append(frozenset(self.in_flight))
        try:
            await asyncio.sleep(0.01)
            if request in self.silent:
                await asyncio.Event().wait()
            if request in self.cancelled:
                raise asyncio.CancelledError
            if request in self.poison:
                raise ZeroDivisionError("poison")
            if self.deadly & self.in_flight:
                raise EngineFailed("the server died")
            return 2 * request
        finally:
            self.in_flight.discard(request)

    async def abandon(self) -> None:
        self.told.append("abandon")

    async def close(self) -> None:
        self.told.append("close")


@dataclass
class FakeStation:
    """Config and station in one. `at_gate` is called with what is put to the gate together."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    at_gate: Callable[[Sequence[int]], object] = len

    def connect(self) -> "FakeStation":
        return self

    async def ask(self, request: int) -> int:
        return await self.engine.double(request)

    def judge(self, requests: Sequence[int], answers: Sequence[int]) -> list[Outcome]:
        self.at_gate(requests)
        return [(answer, len(answers)) for answer in answers]

    def close(self) -> None:
        return
