"""Work pools in which shards wait and nothing is begun: paused, or without a worker."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from tasks.running import shard_runs

if TYPE_CHECKING:
    from datetime import datetime

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, Worker

logger = logging.getLogger(__name__)

# A worker sends a heartbeat every interval, up to a third late. The server calls it offline only
# after three intervals, 90 s: too late to say within a minute that nobody is there.
_SILENT_INTERVALS = 1.5
_INTERVAL_SECONDS = 30.0  # Prefect's own, of a worker that does not say


@dataclass(frozen=True, slots=True)
class IdlePool:
    """A work pool that begins none of the shards that wait in it.

    Attributes:
        name: Of the pool.
        num_shards: Of the dataset, that wait in it.
        is_paused: Whether somebody paused it.
        silent_seconds: Since the last sign of life of any of its workers; None: none was ever.
    """

    name: str
    num_shards: int
    is_paused: bool
    silent_seconds: float | None

    def __str__(self) -> str:
        waiting = f"{self.num_shards} shard{'s wait' if self.num_shards > 1 else ' waits'}"
        if self.is_paused:
            return (
                f"pool {self.name}: paused; {waiting}; go on with "
                f"prefect work-pool resume {self.name}"
            )
        since = "" if self.silent_seconds is None else f" for {self.silent_seconds:.0f} s"
        return (
            f"pool {self.name}: no worker online{since}; {waiting}; start one with "
            f"prefect worker start --pool {self.name} --type process"
        )


def idle_pools(client: "SyncPrefectClient", runs: "Iterable[FlowRun]") -> list[IdlePool]:
    """The pools, by name, that begin none of these runs.

    Args:
        client: Of the server.
        runs: Flow runs that wait to be taken by a worker.
    """
    waiting = Counter(run.work_pool_name for run in runs if run.work_pool_name)
    found = (_idle_pool(client, name, waiting[name]) for name in sorted(waiting))
    return [pool for pool in found if pool is not None]


def idle_pools_of(root: str, dataset: str) -> list[IdlePool]:
    """The same of the shards of a dataset; none where no server is named, or none answers.

    Args:
        root: The absolute folder or s3://bucket/prefix, as the shards were told it.
        dataset: Name of the dataset.
    """
    if not os.environ.get("PREFECT_API_URL"):
        return []
    import httpx
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            return idle_pools(client, shard_runs(client, root, dataset, "SCHEDULED"))
    except httpx.HTTPError as error:
        logger.warning("Prefect's server does not say which pools are idle: %r", error)
        return []


def _idle_pool(client: "SyncPrefectClient", name: str, num_shards: int) -> IdlePool | None:
    from prefect.exceptions import ObjectNotFound

    try:
        is_paused = client.read_work_pool(name).is_paused
    except ObjectNotFound:  # deleted since, and its runs with it
        return None
    workers = client.read_workers_for_work_pool(name)
    now = parsedate_to_datetime(client.hello().headers["date"])  # heartbeats have that clock
    if not is_paused and any(_is_heard(worker, now) for worker in workers):
        return None
    return IdlePool(name, num_shards, is_paused, _silent_seconds(workers, now))


def _is_heard(worker: "Worker", now: "datetime") -> bool:
    silent = _silent_seconds([worker], now)
    interval = worker.heartbeat_interval_seconds or _INTERVAL_SECONDS
    return silent is not None and silent < _SILENT_INTERVALS * interval


def _silent_seconds(workers: "Sequence[Worker]", now: "datetime") -> float | None:
    heard = [worker.last_heartbeat_time for worker in workers if worker.last_heartbeat_time]
    return max(0.0, (now - max(heard)).total_seconds()) if heard else None
