"""`log.jsonl`: one line a step, so that anybody may follow a run by reading a file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

LOG_FILE = "log.jsonl"


@dataclass(frozen=True, slots=True)
class StepLog:
    """One optimiser step.

    Attributes:
        step: Its number, from 1.
        num_steps: Steps in all.
        loss: Total loss in nats, before the step.
        learning_rate: Of this step.
        seconds: Since training began, earlier sittings included.
        terms: The objective's parts.
    """

    step: int
    num_steps: int
    loss: float
    learning_rate: float
    seconds: float
    terms: dict[str, float] = field(default_factory=dict)


class TrainingLog:
    """Appends steps to a file; a resumed run first drops what it will do again."""

    def __init__(self, path: Path, done_steps: int) -> None:
        kept = [entry for entry in read_log(path) if entry.step <= done_steps]
        partial = path.with_name(path.name + ".partial")
        partial.write_text("".join(map(_line, kept)))
        partial.replace(path)
        self.seconds_before = kept[-1].seconds if kept else 0.0
        self._file = path.open("a")

    def append(self, entry: StepLog) -> None:
        """Write one step; readers see whole lines."""
        self._file.write(_line(entry))
        self._file.flush()

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def read_log(path: Path) -> list[StepLog]:
    """All whole lines of a log; none if there is no file. A line cut by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_text().split("\n")[:-1]  # after the last newline stands what was cut
    return [StepLog(**json.loads(line)) for line in lines]


def _line(entry: StepLog) -> str:
    return json.dumps(asdict(entry)) + "\n"
