"""How one unit of a stage is settled: read, run, stage, record. Plain functions, no Prefect."""

import os
import platform
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Protocol, TypeVar

from models.engine_queue import EngineQueue
from models.engines import EngineConfig, PaintRequest, WriteRequest
from models.painters.painting import PaintOutcome, Prompts, paint_reports, quarantined_image
from models.settling import Attempt, settle_by_bisection
from models.writers.writing import WriteOutcome, quarantined_report, write_samples
from storage.dataset import Dataset
from storage.identity import sample_seed
from storage.ledger import LedgerRecord, SampleOutcome
from storage.records import ImageRow, Outcome, Report, ReportRow, Sample, Stage
from storage.staging import read_staged, write_staged

MAX_ATTEMPTS = 3  # a unit that failed this often is bisected, and the sample at fault quarantined

RowT = TypeVar("RowT", ReportRow, ImageRow)


@dataclass(frozen=True, slots=True)
class RunIds:
    """Prefect's ids of what is running; empty outside Prefect."""

    flow_run_id: str = ""
    task_run_id: str = ""


class UnitWork(Protocol):
    """One stage of one open shard: what a unit task calls."""

    stage: Stage

    def settle(self, unit: int, run: RunIds) -> LedgerRecord:
        """Execute one attempt at a unit and record it; returns the record that stands.

        Raises:
            EngineFailed: If an engine failed; the failure is recorded beside the ledger.
        """
        ...


class WriteUnits:
    """The write stage of a shard: samples in, reports out."""

    stage = Stage.WRITE

    def __init__(
        self,
        dataset: Dataset,
        queue: EngineQueue[WriteRequest, WriteOutcome],
        writer: EngineConfig,
        max_tries: int,
        timeout_seconds: float,
        samples: Mapping[int, Sequence[Sample]],
        sources: Mapping[str, Report],
    ) -> None:
        self._dataset = dataset
        self._queue = queue
        self._writer = writer
        self._max_tries = max_tries
        self._timeout_seconds = timeout_seconds
        self._samples = samples
        self._sources = sources

    def settle(self, unit: int, run: RunIds) -> LedgerRecord:
        """Write and check the reports of one unit."""

        def rows(attempt: Attempt, group: str, suspect: bool) -> list[ReportRow]:
            write = partial(
                write_samples,
                submit=partial(self._queue.submit, group=group),
                seeds=_seeds(Stage.WRITE),
                max_tries=self._max_tries,
                timeout_seconds=self._timeout_seconds,
                attempt=attempt,
                sources=self._sources,
            )
            if not suspect:
                return write(self._samples[unit])
            quarantine = partial(quarantined_report, seeds=_seeds(Stage.WRITE), attempt=attempt)
            return settle_by_bisection(self._samples[unit], write, quarantine)

        return _settle(self._dataset, Stage.WRITE, unit, self._writer, run, rows, ReportRow)


class PaintUnits:
    """The paint stage of a shard: accepted reports in, images out."""

    stage = Stage.PAINT

    def __init__(
        self,
        dataset: Dataset,
        queue: EngineQueue[PaintRequest, PaintOutcome],
        painter: EngineConfig,
        max_tries: int,
        timeout_seconds: float,
        prompt_of: Prompts,
    ) -> None:
        self._dataset = dataset
        self._queue = queue
        self._painter = painter
        self._max_tries = max_tries
        self._timeout_seconds = timeout_seconds
        self._prompt_of = prompt_of

    def settle(self, unit: int, run: RunIds) -> LedgerRecord:
        """Paint and check the images of one unit, reading its reports through the ledger."""
        written = accepted_reports(self._dataset, unit)

        def rows(attempt: Attempt, group: str, suspect: bool) -> list[ImageRow]:
            paint = partial(
                paint_reports,
                submit=partial(self._queue.submit, group=group),
                seeds=_seeds(Stage.PAINT),
                prompt_of=self._prompt_of,
                max_tries=self._max_tries,
                timeout_seconds=self._timeout_seconds,
                attempt=attempt,
            )
            if not suspect:
                return paint(written)
            quarantine = partial(quarantined_image, seeds=_seeds(Stage.PAINT), attempt=attempt)
            return settle_by_bisection(written, paint, quarantine)

        return _settle(self._dataset, Stage.PAINT, unit, self._painter, run, rows, ImageRow)


def accepted_reports(dataset: Dataset, unit: int) -> list[ReportRow]:
    """The reports of a unit that the report gate kept.

    Raises:
        ObjectMissing: If the unit's write stage is not settled.
    """
    record = dataset.ledger.record(Stage.WRITE, unit)
    rows = read_staged(dataset.store, record.staged, ReportRow)
    return [row for row in rows if row.outcome is Outcome.ACCEPTED]


@cache
def code_version() -> str:
    """Version of this package, with the Python that runs it."""
    return f"cxr-factory {version('cxr-factory')} python {platform.python_version()}"


def _settle(
    dataset: Dataset,
    stage: Stage,
    unit: int,
    engine: EngineConfig,
    run: RunIds,
    make_rows: Callable[[Attempt, str, bool], list[RowT]],
    row_type: type[RowT],
) -> LedgerRecord:
    num_failures = len(dataset.ledger.failures(stage, unit))
    attempt = Attempt(
        id=f"{num_failures + 1}-{uuid.uuid4().hex[:12]}",
        engine=engine.kind,
        engine_revision=engine.revision(),
        settings=engine.model_dump_json(exclude={"kind"}),
        flow_run_id=run.flow_run_id,
        task_run_id=run.task_run_id,
        code_version=code_version(),
    )
    started_at = time.time()
    # A unit that failed before shares no engine batch, so that its fault disturbs no other.
    group = f"{stage} unit {unit}" if num_failures else ""
    try:
        rows = make_rows(attempt, group, num_failures + 1 >= MAX_ATTEMPTS)
    except Exception as error:
        dataset.ledger.record_failure(stage, unit, attempt.id, error)
        raise
    staged = write_staged(dataset.store, dataset.layout, stage, unit, attempt.id, rows, row_type)
    return dataset.ledger.settle(
        LedgerRecord(
            stage=stage,
            unit=unit,
            attempt=attempt.id,
            file=staged.key,
            num_bytes=staged.num_bytes,
            sha256=staged.sha256,
            outcomes=tuple(_sample_outcome(row) for row in rows),
            worker=f"{platform.node()}:{os.getpid()}",
            started_at=started_at,
            settled_at=time.time(),
            engine_seconds=sum(row.provenance.engine_seconds for row in rows),
        )
    )


def _sample_outcome(row: ReportRow | ImageRow) -> SampleOutcome:
    written = row.written if isinstance(row, ImageRow) else row
    signature = row.signature if isinstance(row, ImageRow) else ""
    return SampleOutcome(written.sample.index, row.outcome, row.reason, signature)


def _seeds(stage: Stage) -> Callable[[str, int], int]:
    return lambda sample, number: sample_seed(sample, stage, number)
