"""Stations that misbehave on request, importable by an engine's child process."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.engines import EngineInfo, Placement
from storage.errors import EngineOutOfMemory, EngineUnavailable


@dataclass(frozen=True)
class FakeConfig:
    """Doubles integers. Requests in `poison` raise, in `deadly` end the process, in `slow` hang."""

    placement: Placement = Placement.IN_PROCESS
    max_batch_size: int = 8
    fits: int = 1000
    poison: frozenset[int] = frozenset()
    deadly: frozenset[int] = frozenset()
    slow: frozenset[int] = frozenset()
    available: bool = True
    deadly_while: str = ""  # a file: as long as it is there, opening ends the process

    def open(self) -> "FakeStation":
        if self.deadly_while and Path(self.deadly_while).exists():
            os._exit(9)
        if not self.available:
            raise EngineUnavailable("weights of 'fake' are missing; install fake-weights")
        return FakeStation(self)


class FakeStation:
    batches: list[list[int]]

    def __init__(self, config: FakeConfig) -> None:
        self.info = EngineInfo("fake", "1", deterministic=True)
        self.max_batch_size = config.max_batch_size
        self._config = config

    def run(self, requests: Sequence[int]) -> list[tuple[int, int]]:
        """(doubled, batch size) of each request."""
        if len(requests) > self._config.fits:
            raise EngineOutOfMemory(f"{len(requests)} do not fit")
        if self._config.poison & set(requests):
            raise ZeroDivisionError("poison")
        if self._config.deadly & set(requests):
            os._exit(9)
        if self._config.slow & set(requests):
            time.sleep(60)
        return [(2 * request, len(requests)) for request in requests]

    def close(self) -> None:
        return
