"""What the shard flows do around a stage: open its engines, run the units that lack, sum up."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import Semaphore
from typing import Any

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.results import ResultRecord  # type: ignore[attr-defined] # it is there
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff
from pydantic import BaseModel, ConfigDict, Field

from flows.plans import ExecutionPlan
from flows.work import ShardRef, open_work
from models.judges.judging import JudgeStationConfig
from models.painters.painting import PaintStationConfig
from storage.dataset import open_dataset
from storage.errors import (
    EngineFailed,
    EngineStopped,
    EngineUnavailable,
    FactoryError,
    PlanMismatch,
    StoreFull,
    StoreRefused,
)
from storage.ledger import LedgerRecord
from storage.records import Stage
from storage.rounds import unjudged, unpainted, unwritten
from tasks.settle import UnitWork
from tasks.shards import ShardSettings, open_judge_shard, open_paint_shard, open_write_shard
from tasks.units import settle_unit

# Bounded, since the default is not; threads start as units need them (see units_in_flight).
UNIT_RUNNER: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(max_workers=256)  # type: ignore[assignment]


def inline_subflows() -> AbstractContextManager[object]:
    """Subflows of this process without heartbeats of their own (decision 0004).

    They die with their parent, whose heartbeat speaks for them, and Prefect would wait up to a
    second for each to stop.
    """
    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


class ShardSummary(BaseModel):
    """What a shard flow run did; small enough for Prefect to show."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_units: int = Field(description="Units settled in this run.")
    num_accepted: int = Field(description="Samples that the stage kept.")
    num_rejected: int = Field(description="Samples that the stage refused or quarantined.")
    engine_seconds: float = Field(description="Engine time of the settled units, seconds.")


# What fails one unit so fails all: neither a retry nor the next unit would fare better.
SHARED_FATE = (StoreFull, StoreRefused, EngineUnavailable, EngineStopped, PlanMismatch)


def stop_if_hopeless(state: State[ShardSummary]) -> None:
    """Let the other shards go on after one has failed, unless its failure is theirs too.

    Raises:
        FactoryError: What failed the shard, if it is the store's, the plan's or the machine's.
    """
    if state.is_failed():
        error = state.result(raise_on_failure=False)
        if isinstance(error, SHARED_FATE):
            raise error


@contextmanager
def open_writing(shard: ShardRef) -> Iterator[UnitWork[Any, Any]]:
    """The write stage of a shard, as the locked plan has it."""
    work = open_work(shard.root, shard.dataset, shard.execution)
    work.require_engines()
    with open_write_shard(
        work.dataset, shard.units, work.write_station(), _settings(shard)
    ) as units:
        yield units


@contextmanager
def open_painting(shard: ShardRef) -> Iterator[UnitWork[Any, Any]]:
    """The paint stage of a shard, as the locked plan has it."""
    work = open_work(shard.root, shard.dataset, shard.execution)
    work.require_engines()
    rules = work.plan.image_rules
    station = PaintStationConfig(work.plan.painter, rules.gates)
    with open_paint_shard(
        work.dataset, work.rounds, station, rules.prompt, rules.max_tries, _settings(shard)
    ) as units:
        yield units


@contextmanager
def open_judging(shard: ShardRef) -> Iterator[UnitWork[Any, Any]]:
    """The judge stage of a shard, as the locked plan has it.

    Raises:
        ValueError: If the plan has no judge.
    """
    work = open_work(shard.root, shard.dataset, shard.execution)
    work.require_engines()
    judge, rules = work.plan.judge, work.plan.judge_rules
    if judge is None:
        raise ValueError(f"expected a plan with a judge, {shard.dataset!r} has none; name one")
    station = JudgeStationConfig(judge, rules)
    with open_judge_shard(work.dataset, station, _settings(shard)) as units:
        yield units


def unwritten_units(shard: ShardRef) -> list[int]:
    """Units of the shard without a record of the write stage."""
    return unwritten(open_dataset(shard.root, shard.dataset).ledger, shard.units)


def unpainted_units(shard: ShardRef) -> list[int]:
    """Units that can be painted in the shard's round and have no record of it."""
    work = open_work(shard.root, shard.dataset)
    return unpainted(work.dataset.ledger, work.rounds, shard.units, shard.round_number)


def unjudged_units(shard: ShardRef) -> list[int]:
    """Units that are painted in the shard's round and not judged."""
    work = open_work(shard.root, shard.dataset)
    return unjudged(work.dataset.ledger, work.rounds, shard.units, shard.round_number)


def settle_units(
    work: UnitWork[Any, Any], units: Sequence[int], execution: ExecutionPlan
) -> ShardSummary:
    """Run units side by side; one that fails is retried, and the rest go on.

    Raises:
        EngineFailed: After all have ended, if some failed for good; names the first.
        FactoryError: If a unit failed of what would fail every unit; no further one is begun.
    """
    task = settle_unit.with_options(
        retries=execution.unit_retries,
        retry_delay_seconds=exponential_backoff(execution.retry_delay_seconds),
        retry_jitter_factor=0.5,
        retry_condition_fn=_may_fare_better,
    )  # no tags: Prefect asks its server for a lease per task run that has any (decision 0004)
    free = Semaphore(execution.units_in_flight)
    hopeless: list[FactoryError] = []

    def ended(future: PrefectFuture[LedgerRecord]) -> None:
        result = _outcome(future)
        if isinstance(result, SHARED_FATE):
            hopeless.append(result)
        free.release()

    futures: list[PrefectFuture[LedgerRecord]] = []
    for unit in units:
        free.acquire()
        if hopeless:
            break
        future = task.submit(work, unit)
        future.add_done_callback(ended)
        futures.append(future)
    results = [_outcome(future) for future in futures]
    if hopeless:
        raise hopeless[0]
    return _summary(work.stage, units, results)


def _outcome(future: PrefectFuture[LedgerRecord]) -> LedgerRecord | BaseException:
    """What a task run came to; `future.result` alone would cross Prefect's event loop for it."""
    future.wait()
    held = future.state.data
    outcome: LedgerRecord | BaseException = (
        held.result if isinstance(held, ResultRecord) else future.result(raise_on_failure=False)
    )
    return outcome


def _may_fare_better(_task: Any, _run: Any, state: State[LedgerRecord]) -> bool:
    result: object = state.result(raise_on_failure=False)
    return not isinstance(result, SHARED_FATE)


def _summary(
    stage: Stage, units: Sequence[int], results: Sequence[LedgerRecord | BaseException]
) -> ShardSummary:
    failed = [
        (unit, result)
        for unit, result in zip(units, results, strict=True)
        if isinstance(result, BaseException)
    ]
    if failed:
        unit, error = failed[0]
        raise EngineFailed(
            f"{stage}: {len(failed)} of {len(units)} units failed; unit {unit}: {error}"
        ) from error
    records = [result for result in results if isinstance(result, LedgerRecord)]
    outcomes = [outcome for record in records for outcome in record.outcomes]
    num_accepted = sum(outcome.reason is None for outcome in outcomes)
    return ShardSummary(
        num_units=len(records),
        num_accepted=num_accepted,
        num_rejected=len(outcomes) - num_accepted,
        engine_seconds=sum(record.engine_seconds for record in records),
    )


def _settings(shard: ShardRef) -> ShardSettings:
    return ShardSettings(
        num_processes=shard.execution.num_processes,
        max_batch_size=shard.execution.max_batch_size,
        batch_timeout_seconds=shard.execution.batch_timeout_seconds,
        unit_timeout_seconds=shard.execution.unit_timeout_seconds,
    )
