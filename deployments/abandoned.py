"""Which datasets nobody went on with after their run crashed."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Orchestration:
    """A run of generate-dataset or resume-dataset.

    Attributes:
        root: Where its dataset lies.
        dataset: The dataset's name.
        ended: None while it works or is about to.
        is_resumed: It crashed, and is of the flow whose crash is gone on with: the one that goes
            on is not, so that a dataset whose orchestrators always crash comes to rest.
    """

    id: UUID
    root: str
    dataset: str
    ended: datetime | None
    is_resumed: bool


def abandoned(
    runs: Collection[Orchestration], now: datetime, resume_after: timedelta
) -> list[Orchestration]:
    """The crashed runs to go on after: of each dataset the last that ended, if none works on it.

    Args:
        runs: All that work, and those that ended lately.
        now: On the server's clock.
        resume_after: From the crash.
    """
    by_dataset: dict[tuple[str, str], list[Orchestration]] = defaultdict(list)
    for run in runs:
        by_dataset[run.root, run.dataset].append(run)
    last = [_last_ended(of_one) for of_one in by_dataset.values()]
    return [
        run
        for run in last
        if run is not None
        and run.is_resumed
        and run.ended is not None
        and now - run.ended >= resume_after
    ]


def _last_ended(runs: Collection[Orchestration]) -> Orchestration | None:
    """Of the runs of one dataset; None while one of them has not ended."""
    ended = [(run.ended, run) for run in runs if run.ended is not None]
    return max(ended, key=lambda one: one[0])[1] if len(ended) == len(runs) else None
