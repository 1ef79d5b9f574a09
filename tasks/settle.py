"""How one unit of a stage is settled: read, run, stage, record. Plain functions, no Prefect."""

import os
import platform
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Generic, TypeVar

from models.engine_queue import EngineQueue
from models.engines import EngineConfig
from models.served_queue import ServedQueue
from models.settling import Attempt, Seeds, settle_by_bisection
from storage.dataset import Dataset
from storage.errors import EngineFailed, EngineStopped
from storage.identity import sample_seed
from storage.ledger import LedgerRecord, SampleOutcome
from storage.records import ImageRow, JudgeRow, ReportRow, Stage
from storage.staging import write_staged

MAX_ATTEMPTS = 3  # a unit that failed this often is bisected, and the sample at fault quarantined

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT", bound=ReportRow | ImageRow | JudgeRow)
Submit = Callable[[Any], "Future[Any]"]
Queue = EngineQueue[Any, Any] | ServedQueue[Any, Any]


@dataclass(frozen=True, slots=True)
class RunIds:
    """Prefect's ids of what is running; empty outside Prefect."""

    flow_run_id: str = ""
    task_run_id: str = ""


@dataclass(frozen=True, slots=True)
class StageSteps(Generic[ItemT, RowT]):
    """What a stage makes of a unit.

    Attributes:
        engine: What answers; goes into provenance.
        max_tries: Per item, until its outcome is final.
        items_of: What the stage is handed of a unit, by its number.
        run: (items, submit, seeds, tries, timeout in seconds, attempt) -> a row per item.
        quarantine: The row of an item that no engine call survives.
    """

    stage: Stage
    engine: EngineConfig
    max_tries: int
    items_of: Callable[[int], Sequence[ItemT]]
    run: Callable[[Sequence[ItemT], Submit, Seeds, int, float, Attempt], list[RowT]]
    quarantine: Callable[[ItemT, EngineFailed, Seeds, Attempt], RowT]
    row_type: type[RowT]


class UnitWork(Generic[ItemT, RowT]):
    """One stage of one open shard: what a unit task calls."""

    def __init__(
        self,
        dataset: Dataset,
        queue: Queue,
        steps: StageSteps[ItemT, RowT],
        timeout_seconds: float,
    ) -> None:
        self._dataset = dataset
        self._queue = queue
        self._steps = steps
        self._timeout_seconds = timeout_seconds
        self.stage = steps.stage
        # one listing a shard, where one a unit would be a third of what S3 charges for
        self._num_failures = Counter(dataset.ledger.num_failures(steps.stage))

    def settle(self, unit: int, run: RunIds) -> LedgerRecord:
        """Execute one attempt at a unit and record it; returns the record that stands.

        Raises:
            EngineFailed: If an engine failed; the failure is recorded beside the ledger.
            EngineStopped: If the shard was ended meanwhile.
        """
        steps, dataset = self._steps, self._dataset
        items = steps.items_of(unit)
        num_failures = self._num_failures[unit]
        attempt = _attempt(steps.engine, num_failures + 1, run)
        started_at = time.time()
        try:
            rows = self._rows(unit, items, attempt, num_failures)
        except EngineStopped:
            raise  # no failure of the unit's
        except Exception as error:
            dataset.ledger.record_failure(self.stage, unit, attempt.id, error)
            self._num_failures[unit] += 1
            raise
        staged = write_staged(
            dataset.store, dataset.layout, self.stage, unit, attempt.id, rows, steps.row_type
        )
        return dataset.ledger.settle(
            LedgerRecord(
                stage=self.stage,
                unit=unit,
                attempt=attempt.id,
                file=staged.key,
                num_bytes=staged.num_bytes,
                sha256=staged.sha256,
                outcomes=tuple(_sample_outcome(row) for row in rows),
                worker=_worker(),
                started_at=started_at,
                settled_at=time.time(),
                engine_seconds=sum(row.provenance.engine_seconds for row in rows),
                num_tokens=sum(row.provenance.num_tokens for row in rows),
            )
        )

    def _rows(
        self, unit: int, items: Sequence[ItemT], attempt: Attempt, num_failures: int
    ) -> list[RowT]:
        """Run the items; at the last attempt find the one at fault and quarantine it."""
        steps = self._steps
        # A unit that failed before runs beside no other, so that its fault disturbs none.
        group = f"{self.stage} unit {unit}" if num_failures else ""
        submit = partial(self._queue.submit, group=group)

        def run(part: Sequence[ItemT]) -> list[RowT]:
            return steps.run(
                part, submit, self._seeds, steps.max_tries, self._timeout_seconds, attempt
            )

        if num_failures + 1 < MAX_ATTEMPTS:
            return run(items)
        return settle_by_bisection(
            items, run, lambda item, error: steps.quarantine(item, error, self._seeds, attempt)
        )

    def _seeds(self, sample: str, try_number: int) -> int:
        return sample_seed(sample, self.stage, try_number)


@cache
def code_version() -> str:
    """Version of this package, with the Python that runs it."""
    return f"cxr-factory {version('cxr-factory')} python {platform.python_version()}"


def _worker() -> str:
    """Host, its GPUs where they are named, and process; see `storage.throughput`."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"{platform.node()}{f' GPU {gpus}' if gpus else ''}:{os.getpid()}"


def _attempt(engine: EngineConfig, number: int, run: RunIds) -> Attempt:
    return Attempt(
        id=f"{number}-{uuid.uuid4().hex[:12]}",
        engine=engine.kind,
        engine_revision=engine.revision(),
        settings=engine.model_dump_json(exclude={"kind"}),
        flow_run_id=run.flow_run_id,
        task_run_id=run.task_run_id,
        code_version=code_version(),
    )


def _sample_outcome(row: ReportRow | ImageRow | JudgeRow) -> SampleOutcome:
    signature = row.signature if isinstance(row, ImageRow) else ""
    return SampleOutcome(row.index, row.outcome, row.reason, signature)
