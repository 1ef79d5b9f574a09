"""The unit task: one GPU batch as Prefect shows it, fails it and retries it."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run, task_run

from storage.ledger import LedgerRecord
from tasks.settle import RunIds, UnitWork


@task(
    name="settle-unit",
    task_run_name="{work.stage} unit {unit}",
    cache_policy=NO_CACHE,  # the ledger remembers what is done, across runs
    persist_result=False,
)
def settle_unit(work: UnitWork[Any, Any], unit: int) -> LedgerRecord:
    """Execute one attempt at a unit; Prefect retries it, the ledger keeps the first result."""
    return work.settle(unit, RunIds(str(flow_run.id or ""), str(task_run.id or "")))
