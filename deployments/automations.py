"""Automations of the factory's own: runs whose process is gone are found and marked Crashed.

Prefect itself never notices: a run whose host lost power stays Running for ever, and what waits for
it waits too. Once it is Crashed, dispatch starts the shard again.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Automation, AutomationCore, Posture

from deployments.changes import Change, Outcome
from deployments.settings import HEARTBEAT_SECONDS

SILENT_FOR = timedelta(seconds=3 * HEARTBEAT_SECONDS)
PENDING_FOR = timedelta(seconds=90)  # and 5 s until Prefect looks: a slot is free in two minutes

_RUN = "prefect.flow-run."
# Every way for a run to leave a state in which a process must be at work on it.
_LEFT = {
    f"{_RUN}{name}"
    for name in (
        *("Completed", "Failed", "TimedOut", "Crashed", "Cancelling", "Cancelled"),
        *("Scheduled", "Late", "Resuming", "Retrying", "AwaitingRetry", "AwaitingConcurrencySlot"),
        *("Paused", "Suspended"),
    )
}


def silent_runs(silent_for: timedelta = SILENT_FOR) -> AutomationCore:
    """Crash what sent a heartbeat, and then none for so long.

    Inline subflows send none (decision 0004): their parent's speaks for them.
    """
    heartbeat = f"{_RUN}heartbeat"
    return _crash(
        name="Crash runs without heartbeat",
        message=f"no heartbeat for {silent_for.seconds} s: its process or host is gone",
        after={heartbeat},
        expect=_LEFT | {heartbeat},
        within=silent_for,
    )


def mute_runs(silent_for: timedelta = SILENT_FOR) -> AutomationCore:
    """Crash what a worker started and never sent its first heartbeat: killed as it began.

    Only runs of deployments: each sends one as it begins, where an inline subflow sends none.
    """
    return _crash(
        name="Crash runs that send no first heartbeat",
        message=f"no heartbeat in its first {silent_for.seconds} s: its process or host is gone",
        after={f"{_RUN}Running"},
        expect=_LEFT | {f"{_RUN}heartbeat"},
        within=silent_for,
        match_related={"prefect.resource.role": "deployment"},
    )


def stuck_runs(pending_for: timedelta = PENDING_FOR) -> AutomationCore:
    """Crash what a worker took and did not start for so long."""
    return _crash(
        name="Crash runs that never start",
        message=f"not started for {pending_for.seconds} s: the worker that took it is gone",
        after={f"{_RUN}{name}" for name in ("Pending", "Submitting", "InfrastructurePending")},
        expect=_LEFT | {f"{_RUN}Running"},
        within=pending_for,
    )


def ensure_automations(client: SyncPrefectClient) -> Iterator[Change]:
    """Create or renew the automations that no deployment owns."""
    for automation in (silent_runs(), mute_runs(), stuck_runs()):
        yield ensure_automation(client, automation)


def ensure_automation(client: SyncPrefectClient, wanted: AutomationCore) -> Change:
    """Create an automation, or give it what it should do; one that was switched off stays off."""
    thing = f"automation {wanted.name!r}"
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
        return Change(thing, Outcome.CREATED)
    if _does(found[0]) == _does(wanted):
        return Change(thing, Outcome.UNCHANGED)
    kept = wanted.model_copy(update={"enabled": found[0].enabled})
    changed = kept.model_dump(exclude={"owner_resource"})  # whose it is cannot be changed
    client.update_automation(found[0].id, AutomationCore(**changed))
    return Change(thing, Outcome.UPDATED)


def _does(automation: Automation | AutomationCore) -> dict[str, object]:
    return automation.model_dump(include={"description", "trigger", "actions"})


def _crash(
    name: str,
    message: str,
    after: set[str],
    expect: set[str],
    within: timedelta,
    match_related: Mapping[str, str] = MappingProxyType({}),
) -> AutomationCore:
    return AutomationCore(
        name=name,
        description=f"{message}. Installed by cxr-factory init.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match={"prefect.resource.id": f"{_RUN}*"},
            match_related=dict(match_related),
            for_each={"prefect.resource.id"},
            after=after,
            expect=expect,
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
    )
