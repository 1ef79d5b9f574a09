"""Opening a shard: its engines loaded once, its samples read once. Plain functions, no Prefect."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Literal

from models.engine_queue import EngineQueue
from models.engines import Placement, WriteRequest
from models.judges.judging import JudgeStationConfig, judge_images, quarantined_judgement
from models.painters.painting import (
    PaintItem,
    PaintStationConfig,
    paint_reports,
    quarantined_image,
)
from models.served_queue import ServedQueue
from models.writers.writing import (
    WriteOutcome,
    WriteStationConfig,
    quarantined_report,
    write_samples,
)
from storage.dataset import Dataset
from storage.records import ImageRow, JudgeRow, Report, ReportRow, Sample, Stage
from storage.rounds import Rounds
from storage.samples import read_samples
from tasks.real_reports import source_reports
from tasks.settle import ItemT, Queue, RowT, StageSteps, UnitWork
from tasks.stage_inputs import images_to_judge, reports_to_paint

Sections = Literal["impression", "findings", "both"]


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """How a shard's engines are driven; no part of identity. None: what the engine asks for.

    Attributes:
        num_processes: Engines side by side; a served engine is one client, whatever it says.
        max_batch_size: Upper bound on an engine batch, or on a served engine's requests in flight.
        batch_timeout_seconds: Longest an engine batch may take, or a server be silent.
        unit_timeout_seconds: Longest a unit may take.
    """

    num_processes: int | None
    max_batch_size: int | None
    batch_timeout_seconds: float
    unit_timeout_seconds: float


@contextmanager
def open_write_shard(
    dataset: Dataset, units: Sequence[int], station: WriteStationConfig, settings: ShardSettings
) -> Iterator[UnitWork[Sample, ReportRow]]:
    """The write stage of a shard, its writer loaded for as long as the context lasts.

    Raises:
        PlanMismatch: If samples take real reports that their corpus lacks.
    """
    samples = read_samples(dataset, units)
    sources = source_reports(dataset.store, chain.from_iterable(samples.values()))
    steps = StageSteps(
        stage=Stage.WRITE,
        engine=station.writer,
        # a real report never comes out otherwise
        max_tries=1 if sources else station.rules.max_tries,
        items_of=samples.__getitem__,
        run=partial(write_samples, sources=sources),
        quarantine=quarantined_report,
        row_type=ReportRow,
    )
    with _unit_work(dataset, write_queue(station, settings), steps, settings) as work:
        yield work


@contextmanager
def open_paint_shard(
    dataset: Dataset,
    rounds: Rounds,
    station: PaintStationConfig,
    sections: Sections,
    max_tries: int,
    settings: ShardSettings,
) -> Iterator[UnitWork[PaintItem, ImageRow]]:
    """The paint stage of a shard, its painter and gates loaded for as long as it lasts."""
    steps = StageSteps(
        stage=Stage.PAINT,
        engine=station.painter,
        max_tries=max_tries,
        items_of=partial(reports_to_paint, dataset, rounds),
        run=partial(paint_reports, prompt_of=partial(prompt_of, sections=sections)),
        quarantine=quarantined_image,
        row_type=ImageRow,
    )
    queue: EngineQueue[Any, Any] = EngineQueue(
        station,
        num_processes=settings.num_processes,
        max_batch_size=settings.max_batch_size,
        batch_timeout_seconds=settings.batch_timeout_seconds,
    )
    with _unit_work(dataset, queue, steps, settings) as work:
        yield work


@contextmanager
def open_judge_shard(
    dataset: Dataset, station: JudgeStationConfig, settings: ShardSettings
) -> Iterator[UnitWork[ImageRow, JudgeRow]]:
    """The judge stage of a shard, its judge loaded for as long as the context lasts."""
    steps = StageSteps(
        stage=Stage.JUDGE,
        engine=station.judge,
        max_tries=station.rules.max_tries,
        items_of=partial(images_to_judge, dataset),
        run=judge_images,
        quarantine=quarantined_judgement,
        row_type=JudgeRow,
    )
    queue: ServedQueue[Any, Any] = ServedQueue(
        station, settings.max_batch_size, settings.batch_timeout_seconds
    )
    with _unit_work(dataset, queue, steps, settings) as work:
        yield work


def write_queue(
    station: WriteStationConfig, settings: ShardSettings
) -> EngineQueue[WriteRequest, WriteOutcome] | ServedQueue[WriteRequest, WriteOutcome]:
    """The queue before a writer: it takes batches, or is served one request at a time."""
    if station.placement is Placement.SERVED:
        return ServedQueue(station, settings.max_batch_size, settings.batch_timeout_seconds)
    return EngineQueue(
        station,
        settings.num_processes,
        settings.max_batch_size,
        settings.batch_timeout_seconds,
    )


def prompt_of(report: Report, sections: Sections) -> str:
    """What of a report conditions the painter; study 1 takes the impression alone.

    Of both the impression comes first: a text encoder's window may cut the end off.
    """
    return {
        "impression": report.impression,
        "findings": report.findings,
        "both": f"{report.impression} {report.findings}",
    }[sections]


@contextmanager
def _unit_work(
    dataset: Dataset,
    queue: Queue,
    steps: StageSteps[ItemT, RowT],
    settings: ShardSettings,
) -> Iterator[UnitWork[ItemT, RowT]]:
    """The stage's engines, loaded; afterwards what was settled is put together in a digest."""
    with queue:
        try:
            yield UnitWork(dataset, queue, steps, settings.unit_timeout_seconds)
        finally:  # what is settled is so however the shard ends
            dataset.ledger.write_digest(steps.stage)
