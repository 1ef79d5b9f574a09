"""What is being worked on at this moment, as Prefect's server says."""

import logging
import os
import re
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from storage.records import Stage

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

logger = logging.getLogger(__name__)

_PAGE = 200  # the most that the server returns at once
_UNIT_NAME = re.compile(r"(\w+) unit \d+")  # of tasks.units.settle_unit


def running_units(root: str, dataset: str) -> dict[Stage, int] | None:
    """Units of a dataset whose task runs are running, by stage.

    None where no server is named (PREFECT_API_URL) or none answers: a command's own server is its
    own affair.

    Args:
        root: The absolute folder or s3://bucket/prefix, as the shards were told it.
        dataset: Name of the dataset.
    """
    if not os.environ.get("PREFECT_API_URL"):
        return None
    import httpx

    try:
        return _ask_server(root, dataset)
    except httpx.HTTPError as error:
        logger.warning("Prefect's server does not say what is running: %r", error)
        return None


def shard_runs(
    client: "SyncPrefectClient", root: str, dataset: str, state: Literal["RUNNING", "SCHEDULED"]
) -> "list[FlowRun]":
    """Runs of a dataset's shards in a state, of the 200 that the server gives at once."""
    from prefect.client.schemas import filters

    of_dataset = filters.FlowRunFilter(
        state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[state])),
        name=filters.FlowRunFilterName(like_=f" {dataset} shard "),
    )
    runs = client.read_flow_runs(flow_run_filter=of_dataset, limit=_PAGE)
    return [run for run in runs if _is_of(run.parameters.get("shard"), root, dataset)]


def _ask_server(root: str, dataset: str) -> dict[Stage, int]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters

    is_running = filters.TaskRunFilterStateType(any_=["RUNNING"])
    counts: Counter[Stage] = Counter()
    with get_client(sync_client=True) as client:
        shards = [run.id for run in shard_runs(client, root, dataset, "RUNNING")]
        if not shards:
            return {}
        for offset in count(0, _PAGE):
            page = client.read_task_runs(
                flow_run_filter=filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=shards)),
                task_run_filter=filters.TaskRunFilter(
                    state=filters.TaskRunFilterState(type=is_running)
                ),
                limit=_PAGE,
                offset=offset,
            )
            named = (_UNIT_NAME.fullmatch(run.name) for run in page)
            counts.update(Stage(found[1]) for found in named if found)
            if len(page) < _PAGE:
                break
    return dict(counts)


def _is_of(shard: Any, root: str, dataset: str) -> bool:
    """Whether a run's shard is of the dataset; the server's search by name knows wildcards."""
    return isinstance(shard, dict) and (shard.get("root"), shard.get("dataset")) == (root, dataset)
