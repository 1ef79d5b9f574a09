"""Runs that an earlier fleet of this server left behind, ended by a power cut or by Ctrl-C."""

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

from deployments.pools import POOLS

_AT_WORK = FlowRunFilter(
    state=FlowRunFilterState(
        type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
    )
)
_OURS = WorkPoolFilter(name=WorkPoolFilterName(any_=[*POOLS]))


def crash_left_runs(client: SyncPrefectClient) -> int:
    """Mark as Crashed what workers had begun; only while none of them lives.

    The heartbeat automation would miss it: what it counts may go with the server's memory.

    Returns:
        How many runs there were.
    """
    num_runs = 0
    while runs := client.read_flow_runs(flow_run_filter=_AT_WORK, work_pool_filter=_OURS):
        for run in runs:
            message = "its worker ended with the fleet"
            client.set_flow_run_state(run.id, Crashed(message=message), force=True)
        num_runs += len(runs)
    return num_runs
