"""A station in a supervised child process: dead or hung, it takes no flow with it.

The child is a plain `python -m models.engine_child`, so it re-imports nothing of its parent;
it exits when its parent does, because its channel closes.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any

from models.engines import EngineInfo, Placement
from models.stations import StationConfig
from storage.errors import EngineFailed, EngineUnavailable

START_TIMEOUT_SECONDS = 900.0  # a 70B model loads for minutes
_STOP_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ready:
    """The child's first answer."""

    info: EngineInfo
    max_batch_size: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as data: the child's exception classes may not exist in the parent."""

    error: type[EngineFailed] | type[EngineUnavailable]
    message: str


class EngineProcess:
    """Runs a station's batches in a child; restarts it on the next call after it died.

    Args:
        config: Opened in the child; must pickle.
        timeout_seconds: Longest one batch may take before the child is called hung and killed.
    """

    def __init__(self, config: StationConfig, timeout_seconds: float) -> None:
        self._config = config
        self._timeout_seconds = timeout_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: Connection[Any, Any] | None = None
        self._ready: Ready | None = None
        self._max_batch_size = 1
        self._killed = False

    def start(self) -> None:
        """Start the child and wait until its engine is loaded.

        Raises:
            EngineUnavailable: If the engine says it cannot start at all.
            EngineFailed: If the child died or was not ready in time.
        """
        ours, theirs = Pipe(duplex=True)
        self._channel = ours
        self._child = subprocess.Popen(
            [sys.executable, "-m", "models.engine_child", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=_child_environment(self._config.placement),
        )
        theirs.close()
        if self._killed:  # while the child was being started
            self._child.kill()
        self._send(self._config)
        self._ready = self._receive(START_TIMEOUT_SECONDS)
        self._max_batch_size = self._ready.max_batch_size

    @property
    def max_batch_size(self) -> int:
        """The station's own limit, as its child said at its last start; 1 before the first.

        Starts none: who asks how much to take from a queue could tell nobody that a start failed.
        """
        return self._max_batch_size

    @property
    def info(self) -> EngineInfo:
        """What is pinned of the engine; starts the child if need be."""
        return self._started().info

    def call(self, requests: Sequence[Any]) -> Sequence[Any]:
        """Run one batch.

        Raises:
            EngineOutOfMemory: If the engine says the batch did not fit.
            EngineFailed: If the engine raised, died or hung.
        """
        self._started()
        self._send(list(requests))
        outcomes = self._receive(self._timeout_seconds)
        assert len(outcomes) == len(requests)
        return outcomes  # type: ignore[no-any-return]

    def kill(self) -> None:
        """End the child at once, from another thread than that which waits for its answer."""
        self._killed = True
        if (child := self._child) is not None:
            child.kill()

    def stop(self) -> None:
        """Close the channel, which ends the child; kill it if it does not go."""
        if self._channel is not None:
            self._channel.close()
        if self._child is not None:
            try:
                self._child.wait(_STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._child = self._channel = self._ready = None

    def _started(self) -> Ready:
        if self._ready is None:
            self.start()
        assert self._ready is not None
        return self._ready

    def _send(self, message: object) -> None:
        assert self._channel is not None
        try:
            self._channel.send(message)
        except OSError as error:
            raise self._lost("died") from error

    def _receive(self, timeout_seconds: float) -> Any:
        assert self._channel is not None
        try:
            if not self._channel.poll(timeout_seconds):
                raise self._lost(f"hung: no answer in {timeout_seconds:g} s")
            answer = self._channel.recv()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise self._lost("died") from error
        if isinstance(answer, Failure):
            if answer.error is EngineUnavailable:
                self.stop()
            raise answer.error(answer.message)
        return answer

    def _lost(self, what: str) -> EngineFailed:
        """End what is left of the child, and say how it ended."""
        assert self._child is not None
        if what.startswith("hung"):
            self._child.kill()
        child = self._child
        self.stop()
        return EngineFailed(f"engine process {what} (exit status {child.returncode})")


def _child_environment(placement: Placement) -> dict[str, str]:
    environment = dict(os.environ)
    if placement is Placement.PROCESS_PER_CORE:
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return environment
