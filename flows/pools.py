"""Whether shards could run where a plan sends them; asked before any work is begun."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import WorkerStatus
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from flows.plans import DatasetPlan
from flows.shard_runs import deployment_name
from storage.errors import DispatchFailed

# A worker that was started together with the run announces itself by then.
WORKER_WAIT_SECONDS = 30.0
_PAUSE_SECONDS = 1.0

SHARD_FLOWS = ("write-report-shard", "paint-image-shard")
JUDGE_FLOW = "judge-image-shard"


class Dispatching(Protocol):
    """What a plan says of where its shards run."""

    @property
    def dispatch(self) -> Literal["inline", "work-pool"]:
        """In this process, or as runs of their own."""
        ...


def require_server(execution: Dispatching) -> None:
    """Have a Prefect server; refuse work pools without one that lets us in.

    A command's own has no workers.

    Raises:
        ValueError: If none is named; says how to name one.
        DispatchFailed: If the one that is named does not answer, or refuses us.
    """
    if execution.dispatch == "inline":
        from flows.own_server import ensure_server  # imports Prefect's server: seconds

        ensure_server()
        return
    address = PREFECT_API_URL.value()
    if not address:
        raise ValueError(
            "dispatch work-pool needs a Prefect server with workers, PREFECT_API_URL names none; "
            "set it to the server's address (http://HOST:4200/api), or use --dispatch inline"
        )
    try:
        with get_client(sync_client=True) as client:
            client.hello()
    except httpx.HTTPError as error:
        raise DispatchFailed(
            f"expected a Prefect server at {address}, got: {str(error).splitlines()[0]}; start it, "
            "or correct PREFECT_API_URL and PREFECT_API_AUTH_STRING"
        ) from error


def require_dispatch(plan: DatasetPlan, root: str) -> None:
    """Refuse to begin a dataset whose shards nobody would run; see `require_workers`."""
    flows = SHARD_FLOWS if plan.judge is None else (*SHARD_FLOWS, JUDGE_FLOW)
    require_workers(flows, plan.execution, root)


def require_workers(flows: Sequence[str], execution: Dispatching, root: str) -> None:
    """Refuse to begin what nobody would run, or what would be written where nobody finds it.

    Args:
        flows: What shards are run by.
        execution: Where.
        root: Folder or s3://bucket/prefix, as the run was told it.

    Raises:
        ValueError: If a worker is handed a folder that means another one there.
        DispatchFailed: If a deployment, its pool or an online worker is missing; names which.
    """
    _require_absolute(root)
    if execution.dispatch == "inline":
        return
    deadline = time.monotonic() + WORKER_WAIT_SECONDS
    with get_client(sync_client=True) as client:
        for flow_name in flows:
            _require_worker(client, _pool_of(client, flow_name), deadline)


def _require_absolute(root: str) -> None:
    context = FlowRunContext.get()
    by_worker = context and context.flow_run and context.flow_run.deployment_id
    if by_worker and "://" not in root and not Path(root).expanduser().is_absolute():
        raise ValueError(
            f"root must be an absolute folder or s3://bucket/prefix for a worker, which runs in a "
            f"temporary folder of its own, got {root!r}"
        )


def _pool_of(client: SyncPrefectClient, flow_name: str) -> str:
    """The work pool of a flow's deployment."""
    name = deployment_name(flow_name)
    try:
        pool = client.read_deployment_by_name(name).work_pool_name
    except ObjectNotFound as error:
        raise DispatchFailed(
            f"expected the deployment {name!r} on Prefect's server at {client.api_url}, found "
            "none; run cxr-factory init against that server, or use dispatch inline"
        ) from error
    if pool is None:
        raise DispatchFailed(
            f"expected the deployment {name!r} to be in a work pool, it is in none, as after its "
            "pool was deleted; run cxr-factory init, or use dispatch inline"
        )
    return pool


def _require_worker(client: SyncPrefectClient, pool: str, deadline: float) -> None:
    while True:
        workers = client.read_workers_for_work_pool(pool)
        if any(worker.status is WorkerStatus.ONLINE for worker in workers):
            return
        if time.monotonic() > deadline:
            raise DispatchFailed(
                f"expected an online worker in work pool {pool!r}, found {_offline(len(workers))}; "
                f"start one: prefect worker start --pool {pool} --type process"
            )
        time.sleep(_PAUSE_SECONDS)


def _offline(num_workers: int) -> str:
    return f"{num_workers} that no longer answer" if num_workers else "none"
