"""Which runs are lost: judged only over times in which a heartbeat would have been heard.

Heartbeats are events. While a server is away, or drops events under load, nobody's come through,
and a silent run may well be alive. So the patrol sends events of its own on the same way, numbered
probes, and believes a silence only where its probes came through without a gap. All times are the
server's, so that no two hosts' clocks are compared.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from prefect.client.schemas.objects import StateType

from deployments.automations import PENDING_FOR
from deployments.settings import HEARTBEAT_SECONDS


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the patrol waits for what.

    Attributes:
        look_every: Between two looks; each sends a probe.
        silent_for: Of a run without a heartbeat, until it is lost. Less than the automation's three
            beats: one that was lost on its way shows in the probes and is not counted as silence.
        pending_for: Of a run that a worker took and did not start: as the automation's.
        proven_for: That the way of events was whole at the end of any such time. A live run beats
            in it, also where its last beat met a server that was away and ten seconds went by.
        probe_gap: At most between two probes, or the way of events was broken.
        resume_after: From the crash of a dataset's run until the patrol goes on with it: the
            automation's time to do so first.
    """

    look_every: timedelta = timedelta(seconds=10)
    silent_for: timedelta = timedelta(seconds=2.5 * HEARTBEAT_SECONDS)
    pending_for: timedelta = PENDING_FOR
    proven_for: timedelta = timedelta(seconds=1.5 * HEARTBEAT_SECONDS)
    probe_gap: timedelta = timedelta(seconds=HEARTBEAT_SECONDS)
    resume_after: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Probe:
    """An event of the patrol's own that can be read back."""

    number: int
    received: datetime


@dataclass(frozen=True, slots=True)
class Proven:
    """A time in which every probe came through."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class RunAtWork:
    """A flow run that holds a slot.

    Attributes:
        state_id: Of its state, which no other state ever has.
        since: When it came into that state.
        heard: When its newest heartbeat was received; None if there is none.
    """

    id: UUID
    name: str
    state: StateType
    state_id: UUID
    since: datetime
    heard: datetime | None


def proven(probes: Collection[Probe], probe_gap: timedelta) -> Proven | None:
    """The newest time without a lost or late probe; None while no probe has come back.

    Args:
        probes: Those of one patrol that the server can show, in any order.
        probe_gap: At most between two of them.
    """
    newest_first = sorted(probes, key=lambda probe: probe.number, reverse=True)
    if not newest_first:
        return None
    since = until = newest_first[0].received
    for newer, older in pairwise(newest_first):
        is_next = newer.number == older.number + 1
        if not is_next or newer.received - older.received > probe_gap:
            break
        since = older.received
    return Proven(since, until)


def loss(run: RunAtWork, heard: Proven, patience: Patience) -> str | None:
    """Why a run is lost, for people; None while it may be alive.

    Args:
        run: With its heartbeats as read after the probes.
        heard: The time in which heartbeats would have been received.
        patience: How long to wait.
    """
    if heard.until - heard.since < patience.proven_for:
        return None
    if run.state is StateType.PENDING:
        waited = heard.until - run.since
        if waited < patience.pending_for:
            return None
        return f"not started for {waited.seconds} s: the worker that took it is gone"
    silent = heard.until - max(run.since, run.heard or run.since)
    if silent < patience.silent_for:
        return None
    return f"no heartbeat for {silent.seconds} s: its process or host is gone"
