"""The seams of engines that are served: a model on a server, of which only the client runs here.

Such a server batches by itself, all the time: it takes a request in as soon as another has ended.
So it is asked one request at a time, many side by side, and no answer waits for another.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from models.engines import EngineInfo, WriteRequest, WrittenReport

RequestT_contra = TypeVar("RequestT_contra", contravariant=True)
AnswerT = TypeVar("AnswerT")
OutcomeT_co = TypeVar("OutcomeT_co", covariant=True)


class ServedEngine(Protocol):
    """Opened without waiting for anything; used within one event loop."""

    info: EngineInfo
    max_in_flight: int

    async def start(self) -> None:
        """Make sure that the server can be asked; called before requests, cheap when it can.

        Raises:
            EngineUnavailable: If it cannot start, or cannot do what it is asked for.
        """
        ...

    async def abandon(self) -> None:
        """The server hangs, and what it was asked was given up: end it, where it is ours."""
        ...

    async def close(self) -> None:
        """Give back what `start` took."""
        ...


class ServedWriter(ServedEngine, Protocol):
    """Writes reports by asking a server."""

    async def write(self, request: WriteRequest) -> WrittenReport:
        """Answer one request; raises EngineFailed."""
        ...


class ServedStation(Protocol[RequestT_contra, AnswerT, OutcomeT_co]):
    """A served engine with its gate beside it; what a served queue drives."""

    @property
    def engine(self) -> ServedEngine:
        """What is started, asked and closed."""
        ...

    async def ask(self, request: RequestT_contra) -> AnswerT:
        """The engine's answer to one request; raises EngineFailed."""
        ...

    def judge(
        self, requests: Sequence[RequestT_contra], answers: Sequence[AnswerT]
    ) -> Sequence[OutcomeT_co]:
        """What has come back so far, put to the gate, in order; not in the event loop's thread."""
        ...

    def close(self) -> None:
        """Give back what the gate took."""
        ...


class ServedStationConfig(Protocol):
    """A description of a station whose engine is served."""

    def connect(self) -> ServedStation[Any, Any, Any]:
        """Open the engine, and load its gate."""
        ...
