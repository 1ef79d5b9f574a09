"""A station is an engine with its gate beside it: requests in, judged outcomes out.

Gates run where the engine runs, so that an image is checked on the painter's own device and
crosses a process boundary once, encoded.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from models.engines import EngineInfo, Placement

RequestT_contra = TypeVar("RequestT_contra", contravariant=True)
OutcomeT_co = TypeVar("OutcomeT_co", covariant=True)


class Station(Protocol[RequestT_contra, OutcomeT_co]):
    """What an engine queue drives."""

    info: EngineInfo
    max_batch_size: int

    def run(self, requests: Sequence[RequestT_contra]) -> Sequence[OutcomeT_co]:
        """Answer every request, in order; raises EngineFailed or EngineOutOfMemory."""
        ...

    def close(self) -> None:
        """Give back what `open` took."""
        ...


class StationConfig(Protocol):
    """A picklable description of a station, opened where it shall run."""

    @property
    def placement(self) -> Placement:
        """Where the station's engine wants to run."""
        ...

    def open(self) -> Station[Any, Any]:
        """Load the engine and its gates."""
        ...
