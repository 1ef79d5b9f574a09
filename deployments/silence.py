"""Which runs are lost: judged only over times in which a heartbeat would have been heard.

Heartbeats are events. While a server is away, or drops events under load, nobody's come through,
and a silent run may well be alive. So the patrol sends events of its own on the same way, numbered
probes, and counts of a silence only what lies where its probes came through without a gap. All
times are the server's, so that no two hosts' clocks are compared.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
        proven_for: How much of either must lie where the way of events was whole. It may lie in
            several such times: a server that is killed again and again makes nothing forgotten.
        reconnect_for: At the start of such a time, in which a live run that lost its connection
            may not have beaten again: a beat that met a server away is tried for 7 s, so that the
            next is sent 23 s after the server's return at the latest. Counts for no silence.
        probe_gap: At most between two probes, or the way of events was broken: hardly longer than
            the 7 s for which a beat is tried, or two short absences would hide two beats.
        resume_after: From the crash of a dataset's run until the patrol goes on with it: the
            automation's time to do so first.
    """

    look_every: timedelta = timedelta(seconds=5)
    silent_for: timedelta = timedelta(seconds=2.5 * HEARTBEAT_SECONDS)
    pending_for: timedelta = PENDING_FOR
    proven_for: timedelta = timedelta(seconds=1.5 * HEARTBEAT_SECONDS)
    reconnect_for: timedelta = timedelta(seconds=0.5 * HEARTBEAT_SECONDS)
    probe_gap: timedelta = timedelta(seconds=10)
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


def proven(probes: Collection[Probe], probe_gap: timedelta) -> list[Proven]:
    """The times without a lost or late probe, oldest first; none while no probe has come back.

    Args:
        probes: Those of one patrol that the server can show, in any order.
        probe_gap: At most between two of them.
    """
    found: list[list[Probe]] = []
    for probe in sorted(probes, key=lambda probe: probe.number):
        if found and _follows(probe, found[-1][-1], probe_gap):
            found[-1].append(probe)
        else:
            found.append([probe])
    return [Proven(of_one[0].received, of_one[-1].received) for of_one in found]


def loss(run: RunAtWork, heard: Sequence[Proven], patience: Patience) -> str | None:
    """Why a run is lost, for people; None while it may be alive.

    Args:
        run: With its heartbeats as read after the probes.
        heard: The times in which heartbeats would have been received, oldest first.
        patience: How long to wait.
    """
    sign = run.since if run.heard is None else max(run.since, run.heard)
    if not heard or _proven_silence(sign, heard, patience) < patience.proven_for:
        return None
    silent = heard[-1].until - sign
    if run.state is StateType.PENDING:
        if silent < patience.pending_for:
            return None
        return f"not started for {silent.seconds} s: the worker that took it is gone"
    if silent < patience.silent_for:
        return None
    return f"no heartbeat for {silent.seconds} s: its process or host is gone"


def _follows(newer: Probe, older: Probe, probe_gap: timedelta) -> bool:
    is_next = newer.number == older.number + 1
    return is_next and newer.received - older.received <= probe_gap


def _proven_silence(sign: datetime, heard: Sequence[Proven], patience: Patience) -> timedelta:
    """How much of the time since a sign of life another would have been heard in."""
    silent = timedelta()
    for one in heard:
        is_connected = one.since <= sign  # it was heard in this very time
        since = sign if is_connected else one.since + patience.reconnect_for
        silent += max(one.until - since, timedelta())
    return silent
