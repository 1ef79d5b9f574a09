"""Opening a shard: its engines loaded once, its samples read once. Plain functions, no Prefect."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from models.engine_queue import EngineQueue
from models.engines import PaintRequest, WriteRequest
from models.painters.painting import PaintOutcome, PaintStationConfig
from models.stations import StationConfig
from models.writers.writing import WriteOutcome, WriteStationConfig
from storage.dataset import Dataset
from storage.records import Report
from storage.samples import read_samples
from tasks.real_reports import source_reports
from tasks.settle import PaintUnits, WriteUnits

Sections = Literal["impression", "findings", "both"]


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """How a shard's engines are driven; no part of identity. None: what the engine asks for."""

    num_processes: int | None
    max_batch_size: int | None
    batch_timeout_seconds: float
    unit_timeout_seconds: float


@contextmanager
def open_write_shard(
    dataset: Dataset, units: Sequence[int], station: WriteStationConfig, settings: ShardSettings
) -> Iterator[WriteUnits]:
    """The write stage of a shard, its writer loaded for as long as the context lasts.

    Raises:
        PlanMismatch: If samples take real reports that their corpus lacks.
    """
    samples = read_samples(dataset, units)
    sources = source_reports(dataset.store, chain.from_iterable(samples.values()))
    queue: EngineQueue[WriteRequest, WriteOutcome]
    with _queue(station, settings) as queue:
        yield WriteUnits(
            dataset,
            queue,
            station.writer,
            1 if sources else station.rules.max_tries,  # a real report never comes out otherwise
            settings.unit_timeout_seconds,
            samples,
            sources,
        )


@contextmanager
def open_paint_shard(
    dataset: Dataset,
    station: PaintStationConfig,
    sections: Sections,
    max_tries: int,
    settings: ShardSettings,
) -> Iterator[PaintUnits]:
    """The paint stage of a shard, its painter and gates loaded for as long as it lasts."""
    queue: EngineQueue[PaintRequest, PaintOutcome]
    with _queue(station, settings) as queue:
        yield PaintUnits(
            dataset,
            queue,
            station.painter,
            max_tries,
            settings.unit_timeout_seconds,
            lambda report: prompt_of(report, sections),
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


def _queue(station: StationConfig, settings: ShardSettings) -> EngineQueue[Any, Any]:
    return EngineQueue(
        station,
        num_processes=settings.num_processes,
        max_batch_size=settings.max_batch_size,
        batch_timeout_seconds=settings.batch_timeout_seconds,
    )
