"""When the patrol takes a run to be lost, and when it waits."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import StateType

from deployments.automations import PENDING_FOR
from deployments.silence import Patience, Probe, Proven, RunAtWork, loss, proven

START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = Patience()


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _run(state: StateType, since: float, heard: float | None = None) -> RunAtWork:
    beat = None if heard is None else _at(heard)
    return RunAtWork(uuid4(), "paint", state, uuid4(), _at(since), beat)


def _probes(*received: tuple[int, float]) -> list[Probe]:
    return [Probe(number, _at(seconds)) for number, seconds in received]


def _heard(*times: tuple[float, float]) -> list[Proven]:
    return [Proven(_at(since), _at(until)) for since, until in times]


def test_dead_are_found_within_two_minutes_of_their_last_sign() -> None:
    looking = 2 * PATIENCE.look_every  # the newest probe is read by the look after its own
    assert max(PATIENCE.silent_for, PATIENCE.pending_for) + looking < timedelta(minutes=2)
    assert PATIENCE.look_every * 2 <= PATIENCE.probe_gap, "one look may take long"
    assert PATIENCE.pending_for == PENDING_FOR


def test_proven_time_is_that_of_all_probes_when_each_came_through() -> None:
    found = proven(_probes((3, 20), (1, 0), (2, 10)), PATIENCE.probe_gap)
    assert found == _heard((0, 20))


def test_proven_time_without_a_probe_is_none() -> None:
    assert proven([], PATIENCE.probe_gap) == []


def test_proven_time_begins_anew_after_a_probe_that_was_dropped() -> None:
    found = proven(_probes((1, 0), (2, 10), (4, 30), (5, 40)), PATIENCE.probe_gap)
    assert found == _heard((0, 10), (30, 40))


def test_proven_time_begins_anew_when_the_server_is_back_and_takes_what_waited_for_it() -> None:
    found = proven(_probes((1, 0), (2, 50), (3, 50), (4, 52)), PATIENCE.probe_gap)
    assert found == _heard((0, 0), (50, 52))


@pytest.mark.parametrize("state", [StateType.RUNNING, StateType.CANCELLING])
def test_run_that_fell_silent_is_lost_when_it_missed_two_heartbeats(state: StateType) -> None:
    run = _run(state, since=-600, heard=0)
    assert loss(run, _heard((-60, 74)), PATIENCE) is None
    said = loss(run, _heard((-60, 75)), PATIENCE)
    assert said == "no heartbeat for 75 s: its process or host is gone"


def test_run_that_never_beat_is_lost_when_it_missed_two_heartbeats_from_its_start() -> None:
    run = _run(StateType.RUNNING, since=0)
    assert loss(run, _heard((-60, 74)), PATIENCE) is None
    assert loss(run, _heard((-60, 75)), PATIENCE) is not None


def test_run_that_was_taken_and_not_started_is_lost_with_its_worker() -> None:
    run = _run(StateType.PENDING, since=0)
    assert loss(run, _heard((-60, 89)), PATIENCE) is None
    said = loss(run, _heard((-60, 90)), PATIENCE)
    assert said == "not started for 90 s: the worker that took it is gone"


def test_run_heard_since_the_newest_probe_is_alive() -> None:
    assert loss(_run(StateType.RUNNING, -600, heard=100), _heard((0, 90)), PATIENCE) is None


@pytest.mark.parametrize("state", [StateType.PENDING, StateType.RUNNING])
def test_no_run_is_lost_while_a_heartbeat_could_not_have_come_through(state: StateType) -> None:
    run = _run(state, since=-900, heard=-900)
    back = 300.0  # the server, after it was away
    assert loss(run, _heard((back, back + 59)), PATIENCE) is None
    assert loss(run, _heard((back, back + 60)), PATIENCE) is not None


def test_silence_before_a_server_was_killed_still_counts_when_it_is_back() -> None:
    run = _run(StateType.RUNNING, since=-600, heard=0)
    before = (-60, 40)
    assert loss(run, _heard(before, (80, 99)), PATIENCE) is None
    assert loss(run, _heard(before, (80, 100)), PATIENCE) is not None


def test_silence_before_the_last_sign_of_life_does_not_count() -> None:
    run = _run(StateType.RUNNING, since=-600, heard=100)
    assert loss(run, _heard((-60, 90), (95, 130), (160, 175)), PATIENCE) is None
