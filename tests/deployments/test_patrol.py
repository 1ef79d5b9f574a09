"""A patrol on a real server without automations: the dead are found, the living are left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Crashed, Running

from deployments.automations import mute_runs, silent_runs, stuck_runs
from deployments.initialise import initialise
from deployments.lookout import (
    RESUME,
    RESUME_AUTOMATION,
    RETRY_AUTOMATION,
    orchestrations,
    server_time,
)
from deployments.workers import WorkerPlace
from flows.retry_crashed import begin_again
from tests.flows.fleet import Fleet, prefect_server, processes_with, wait_for
from tests.flows.patient import patient_painter, patient_plan

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

AWAY_SECONDS = 24.0
LOOKS_SECONDS = 8.0  # several looks of a patrol
SHARD = "paint-image-shard"  # begun again by its dataset's run, never by a patrol
BEATS = """
import sys, time
from prefect.events import emit_event
while True:
    emit_event("prefect.flow-run.heartbeat", {"prefect.resource.id": sys.argv[1]})
    time.sleep(2)
"""
# A beat that met a server away holds up the next ones for some 12 s, which must prove nothing.
IMPATIENT = """
from datetime import timedelta
from deployments.patrol import go_on_patrol
from deployments.silence import Patience

def seconds(number):
    return timedelta(seconds=number)

go_on_patrol(Patience(
    look_every=seconds(1), silent_for=seconds(20), pending_for=seconds(20),
    proven_for=seconds(5), reconnect_for=seconds(15), probe_gap=seconds(8),
    resume_after=seconds(2),
))
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A server as `init` leaves it, less its automations; no worker."""
    folder = tmp_path_factory.mktemp("patrol")
    with patient_painter(folder), prefect_server(folder) as fleet:
        with temporary_settings({PREFECT_API_URL: fleet.url}):
            initialise(str(folder / "factory"))
        with fleet.client() as client:
            ours = (silent_runs(), mute_runs(), stuck_runs())
            for name in (*(one.name for one in ours), RESUME_AUTOMATION, RETRY_AUTOMATION):
                for automation in client.read_automations_by_name(name):
                    client.delete_automation(automation.id)
            for deployment in client.read_deployments():  # the forms know no painter of a test
                path = f"/deployments/{deployment.id}"
                client.request("PATCH", path, json={"enforce_parameter_schema": False})
        try:
            yield fleet
        finally:
            (folder / "hold").unlink(missing_ok=True)
            _kill_all(fleet)


def test_live_run_whose_server_was_away_is_left_and_found_when_it_falls_silent(
    fleet: Fleet,
) -> None:
    run = _begun(fleet, SHARD, {})
    silent = _begun(fleet, SHARD, {})
    with _patrol(fleet) as said:
        with _beating(fleet, run):
            wait_for("the end of the other, which is silent", lambda: _ended(fleet, silent))
            fleet.server.kill()
            time.sleep(AWAY_SECONDS)  # longer than a run may be silent
            fleet.server.start()
            time.sleep(AWAY_SECONDS)
            assert fleet.runs(SHARD, "Running") != [], said.read_text()
        assert fleet.ended(run).is_crashed()
    assert "no heartbeat for" in str(fleet.ended(run).message)
    assert fleet.ended(silent).is_crashed()


def test_lost_run_that_was_being_cancelled_is_cancelled(fleet: Fleet) -> None:
    run = _begun(fleet, SHARD, {})
    fleet.set_state(run, Cancelling())
    with _patrol(fleet), _patrol(fleet):
        assert fleet.ended(run).is_cancelled()


def test_dataset_of_a_host_that_died_is_gone_on_with_once(fleet: Fleet) -> None:
    (fleet.folder / "hold").touch()
    parameters = {
        "plan": patient_plan(dispatch="inline").model_dump(mode="json"),
        "root": str(fleet.folder / "factory"),
    }
    run = fleet.submit("generate-dataset", parameters)
    with _worker(fleet):
        wait_for("an engine", lambda: _has_engine(fleet))
        _kill_all(fleet)
    (fleet.folder / "hold").unlink()
    with _patrol(fleet) as said, _patrol(fleet) as said_too:
        assert fleet.ended(run).is_crashed()
        resumed = wait_for("another run", lambda: next(iter(fleet.runs(RESUME)), None))
        time.sleep(LOOKS_SECONDS)
    # Without a patrol: these have less patience than a live run's heartbeats are apart.
    with _worker(fleet):
        assert fleet.ended(resumed).is_completed()
    with _patrol(fleet), _patrol(fleet):
        time.sleep(LOOKS_SECONDS)
    assert len(fleet.runs(RESUME)) == 1
    assert "dataset tiny: gone on with" in said.read_text() + said_too.read_text()


def test_run_that_nobody_else_begins_again_is_retried_and_left_after_its_third_crash(
    fleet: Fleet,
) -> None:
    run = _begun(fleet, "publish-dataset", {"dataset": "tiny"})
    with _patrol(fleet) as said, _patrol(fleet) as said_too:
        for _ in range(2):
            _take_and_crash(fleet, run)
            wait_for("another attempt", lambda: _awaits_retry(fleet, run))
        _take_and_crash(fleet, run)
        wait_for("word of it", lambda: "crashed 3 times" in said.read_text() or None)
        wait_for("word of it", lambda: "crashed 3 times" in said_too.read_text() or None)
    assert fleet.ended(run).is_crashed()


def test_retry_of_a_run_that_has_gone_on_or_is_gone_does_nothing(fleet: Fleet) -> None:
    run = _begun(fleet, "publish-dataset", {"dataset": "tiny"})
    with fleet.client() as client:
        assert "it has gone on since its crash" in begin_again(client, run.id)
        fleet.set_state(run, Crashed(message="power cut"))
        said = begin_again(client, run.id)
        assert said.endswith("begun again in 10 s, after crash 1 of at most 3: power cut")
        assert "it has gone on since its crash" in begin_again(client, run.id), "another asked too"
        client.delete_flow_run(run.id)
        assert "deleted since its crash" in begin_again(client, run.id)


def test_retried_run_does_its_work(fleet: Fleet) -> None:
    """After the dataset of the test before was made."""
    run = _begun(fleet, "publish-dataset", {"dataset": "tiny"})
    fleet.set_state(run, Crashed())
    with _patrol(fleet):
        wait_for("another attempt", lambda: _awaits_retry(fleet, run))
    with _worker(fleet):
        assert fleet.ended(run).is_completed()


def test_run_that_ends_while_it_is_asked_for_is_not_overlooked(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _begun(fleet, RESUME, {"plan": {"name": "other"}, "root": "root"})
    with fleet.client() as client:
        asked = client.read_flow_runs

        def ends_meanwhile(**filters: Any) -> list[FlowRun]:
            answer = asked(**filters)
            fleet.set_state(run, Crashed())
            return answer

        monkeypatch.setattr(client, "read_flow_runs", ends_meanwhile)
        found = orchestrations(client, server_time(client))
    assert run.id in {one.id for one in found}


def _begun(fleet: Fleet, flow: str, parameters: dict[str, Any]) -> FlowRun:
    """A run that a worker has started, as the server knows it; there is no process."""
    with fleet.client() as client:
        deployment = client.read_deployment_by_name(f"{flow}/{flow}")
        return client.create_flow_run_from_deployment(
            deployment.id, parameters=parameters, state=Running()
        )


def _take_and_crash(fleet: Fleet, run: FlowRun) -> None:
    """What a worker does that takes it and dies."""
    with fleet.client() as client:
        client.set_flow_run_state(run.id, Running(), force=True)
    fleet.set_state(run, Crashed())


def _awaits_retry(fleet: Fleet, run: FlowRun) -> bool | None:
    with fleet.client() as client:
        state = client.read_flow_run(run.id).state
    return (state is not None and state.name == "AwaitingRetry") or None


@contextmanager
def _beating(fleet: Fleet, run: FlowRun) -> Iterator[None]:
    """Its heartbeats, sent as Prefect sends them but more often."""
    command = [sys.executable, "-c", BEATS, f"prefect.flow-run.{run.id}"]
    with _process(fleet, command, fleet.folder / "beats.log") as process:
        yield
        process.kill()


@contextmanager
def _patrol(fleet: Fleet) -> Iterator[Path]:
    """A patrol with little patience, at work; gives its log."""
    log = fleet.folder / f"patrol-{time.monotonic_ns()}.log"
    with _process(fleet, [sys.executable, "-c", IMPATIENT], log) as process:
        wait_for("a patrol", lambda: "patrol at" in log.read_text() or None)
        yield log
        process.terminate()
        assert process.wait(timeout=60) == 0, log.read_text()


@contextmanager
def _worker(fleet: Fleet) -> Iterator[None]:
    """A worker of the pool that makes datasets."""
    command = WorkerPlace("cpu", "cpu", None, 1).command()
    with _process(fleet, command, fleet.folder / "worker.log") as process:
        yield
        process.kill()


@contextmanager
def _process(fleet: Fleet, command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=fleet.environment, cwd=fleet.folder, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _ended(fleet: Fleet, run: FlowRun) -> bool | None:
    with fleet.client() as client:
        state = client.read_flow_run(run.id).state
    return (state is not None and state.is_final()) or None


def _has_engine(fleet: Fleet) -> bool | None:
    found = processes_with("PREFECT_API_URL", fleet.url).values()
    return any("engine_child" in one for one in found) or None


def _kill_all(fleet: Fleet) -> None:
    """As a host that loses its power: all but the server, which is on another."""
    for pid, command in processes_with("PREFECT_API_URL", fleet.url).items():
        if pid != os.getpid() and "prefect server" not in command and "uvicorn" not in command:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
