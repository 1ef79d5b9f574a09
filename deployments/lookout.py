"""What the patrol asks Prefect's server."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import count
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventResourceFilter,
)
from prefect.events.schemas.events import ReceivedEvent

from deployments.abandoned import Orchestration
from deployments.pools import POOLS
from deployments.silence import Probe, RunAtWork
from flows.retry_crashed import RETRIED

PROBE = "cxr-factory.patrol.looked"
GENERATE = "generate-dataset"
RESUME = "resume-dataset"
RESUME_AUTOMATION = "Go on with a dataset whose run crashed"
RETRY_AUTOMATION = "Retry a run that crashed"
_HEARTBEAT = "prefect.flow-run.heartbeat"
_RUN = "prefect.flow-run."
# An event bears the clock of its host, which may be as far off; what is older says nothing.
_AROUND = timedelta(hours=1)
_MOST_EVENTS = 50  # that the server answers at once
_MOST_RUNS = 200

_AT_WORK = FlowRunFilter(
    state=FlowRunFilterState(
        type=FlowRunFilterStateType(
            any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
        )
    )
)
_OURS = WorkPoolFilter(name=WorkPoolFilterName(any_=[*POOLS]))
_ORCHESTRATORS = DeploymentFilter(name=DeploymentFilterName(any_=[GENERATE, RESUME]))
_RETRIED = DeploymentFilter(name=DeploymentFilterName(any_=[*RETRIED]))


def server_time(client: SyncPrefectClient) -> datetime:
    """The server's clock, to the second."""
    return parsedate_to_datetime(client.hello().headers["date"])


def probes_of(client: SyncPrefectClient, resource: str, now: datetime) -> list[Probe]:
    """The newest probes of a patrol that the server can show."""
    events = _newest_events(client, now, PROBE, EventResourceFilter(id=[resource]))
    return [Probe(int(event.payload["number"]), event.received) for event in events]


def runs_at_work(client: SyncPrefectClient, now: datetime) -> list[RunAtWork]:
    """Runs that workers of our pools have taken, and that have not ended.

    What a command runs in its own process is not among them: it holds no slot.
    """
    found = list(_all_runs(client, _AT_WORK, pools=_OURS))
    heard = _heard(client, now, [run.id for run in found])
    return [
        RunAtWork(run.id, run.name, state.type, state.id, state.timestamp, heard.get(run.id))
        for run in found
        if (state := run.state) is not None
    ]


def orchestrations(client: SyncPrefectClient, now: datetime) -> list[Orchestration]:
    """Runs of datasets that work or are due, and those that ended within the hour."""
    lately = FlowRunFilter(end_time=FlowRunFilterEndTime(after_=now - _AROUND))
    unended = FlowRunFilter(end_time=FlowRunFilterEndTime(is_null_=True))
    runs = [  # what ends between the two answers is in both, and not in none
        *_all_runs(client, unended, deployments=_ORCHESTRATORS),
        *_all_runs(client, lately, deployments=_ORCHESTRATORS),
    ]
    found = client.read_deployments(deployment_filter=_ORCHESTRATORS)
    resumed = {one.id for one in found if one.name == GENERATE}
    return [
        _orchestration(run, resumed)
        for run in runs
        if _names_dataset(run) and not _is_of_later(run, now)
    ]


def crashed_runs(client: SyncPrefectClient, now: datetime, retry_after: timedelta) -> list[FlowRun]:
    """Runs that are to be begun again, crashed within the hour and so long ago."""
    crashed = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
        end_time=FlowRunFilterEndTime(after_=now - _AROUND, before_=now - retry_after),
    )
    return list(_all_runs(client, crashed, deployments=_RETRIED))


def is_switched_off(client: SyncPrefectClient, automation: str) -> bool:
    """Whether a person wants what an automation does done by nobody."""
    found = client.read_automations_by_name(automation)
    return bool(found) and not found[0].enabled


def _orchestration(run: FlowRun, resumed: set[UUID]) -> Orchestration:
    is_crash = run.state is not None and run.state.is_crashed()
    return Orchestration(
        id=run.id,
        root=str(run.parameters["root"]),
        dataset=str(run.parameters["plan"]["name"]),
        ended=run.end_time,
        is_resumed=is_crash and run.deployment_id in resumed,
    )


def _names_dataset(run: FlowRun) -> bool:
    """Whether its parameters say what it works on; of one with none the flow could not begin."""
    plan = run.parameters.get("plan")
    return isinstance(plan, dict) and "name" in plan and "root" in run.parameters


def _is_of_later(run: FlowRun, now: datetime) -> bool:
    """Whether a schedule made it for a night to come."""
    due = run.expected_start_time
    return run.end_time is None and due is not None and due > now + timedelta(minutes=1)


def _heard(client: SyncPrefectClient, now: datetime, runs: Sequence[UUID]) -> dict[UUID, datetime]:
    """When the newest heartbeat of each run was received; without those that sent none."""
    found: dict[UUID, datetime] = {}
    for start in range(0, len(runs), _MOST_EVENTS):
        names = [f"{_RUN}{run}" for run in runs[start : start + _MOST_EVENTS]]
        of_each = EventResourceFilter(id=names, distinct=True)
        for event in _newest_events(client, now, _HEARTBEAT, of_each):
            found[UUID(event.resource.id.removeprefix(_RUN))] = event.received
    return found


def _newest_events(
    client: SyncPrefectClient, now: datetime, name: str, resource: EventResourceFilter
) -> list[ReceivedEvent]:
    wanted = EventFilter(
        event=EventNameFilter(name=[name]),
        resource=resource,
        occurred=EventOccurredFilter(since=now - _AROUND, until=now + _AROUND),
    )
    return client.read_events(wanted, limit=_MOST_EVENTS).events


def _all_runs(
    client: SyncPrefectClient,
    wanted: FlowRunFilter,
    pools: WorkPoolFilter | None = None,
    deployments: DeploymentFilter | None = None,
) -> Iterator[FlowRun]:
    for page in count():
        found = client.read_flow_runs(
            flow_run_filter=wanted,
            work_pool_filter=pools,
            deployment_filter=deployments,
            sort=FlowRunSort.ID_DESC,
            limit=_MOST_RUNS,
            offset=page * _MOST_RUNS,
        )
        yield from found
        if len(found) < _MOST_RUNS:
            return
