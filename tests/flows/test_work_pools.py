"""Shards in work pools: a real server, a real worker, killed and cancelled on the way."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Scheduled

from flows import pools
from flows.generate import generate_dataset
from flows.plans import ExecutionPlan
from flows.work import open_work
from storage.errors import DispatchFailed, EngineFailed
from storage.records import Stage
from tests.flows.fleet import Fleet, prefect_server, process_worker, processes_with, wait_for
from tests.flows.patient import identities, patient_painter, patient_plan

pytestmark = pytest.mark.timeout(900)  # each flow run takes 5 to 10 s of CPU to start


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the painter looks for `hold` and `broken`, with its package on every path."""
    folder = tmp_path_factory.mktemp("fleet")
    with patient_painter(folder):
        yield folder


@pytest.fixture(scope="module")
def inline(folder: Path) -> set[tuple[str, str]]:
    """The release that all others must equal."""
    generate_dataset(patient_plan(), str(folder / "inline"))
    return identities(folder / "inline")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Fleet]:
    with prefect_server(folder) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def fleet(server: Fleet) -> Iterator[Fleet]:
    with process_worker(server):
        try:
            yield server
        finally:
            (server.folder / "hold").unlink(missing_ok=True)
            for pid in processes_with("PREFECT_API_URL", server.url):
                if pid != os.getpid():
                    os.kill(pid, signal.SIGKILL)


def test_require_dispatch_names_what_is_missing(
    server: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "WORKER_WAIT_SECONDS", 0.0)
    plan = patient_plan(dispatch="work-pool")
    with temporary_settings({PREFECT_API_URL: server.url}):
        with pytest.raises(DispatchFailed, match=r"'write-report-shard/.*found none"):
            pools.require_dispatch(plan, "/factory")
        server.deploy()
        with pytest.raises(DispatchFailed, match="worker in work pool 'any', found none"):
            pools.require_dispatch(plan, "/factory")


def test_require_server_command_without_a_server_is_told_how(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pools.require_server(ExecutionPlan())
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ValueError, match="PREFECT_API_URL names none"),
    ):
        pools.require_server(ExecutionPlan(dispatch="work-pool"))


@pytest.mark.server
def test_two_orchestrators_a_failed_and_a_killed_run_make_what_inline_makes(
    fleet: Fleet, inline: set[tuple[str, str]]
) -> None:
    hold, broken = fleet.folder / "hold", fleet.folder / "broken"
    plan = patient_plan(shard_units=4, shard_attempts=9, queue="urgent").model_dump(mode="json")
    (fleet.folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    words = ("generate", "plan.yaml", "--root", "two", "--dispatch", "work-pool", "--json")
    hold.touch()
    broken.touch()
    commands = [fleet.command(*words) for _ in range(2)]
    wait_for("a failure", lambda: _first(fleet, "paint-image-shard", "Failed"))
    broken.unlink()
    victim = wait_for("the next run", lambda: _first(fleet, "paint-image-shard", "Running"))
    _kill_process_of(victim)
    wait_for("a crash", lambda: _first(fleet, "paint-image-shard", "Crashed"))
    hold.unlink()
    for command in commands:
        said = command.communicate(timeout=240)
        assert command.returncode == 0, said
    assert identities(fleet.folder / "two") == inline
    assert len(fleet.runs("write-report-shard")) == 1, "both wait for the same run"
    painted = fleet.runs("paint-image-shard")
    states = [run.state.name for run in painted if run.state]
    assert sorted(states) == ["Completed", "Crashed", *["Failed"] * (len(painted) - 2)]
    assert {run.work_queue_name for run in painted} == {"urgent"}


@pytest.mark.server
def test_cancelled_dataset_stops_and_is_retried_to_what_inline_makes(
    fleet: Fleet, inline: set[tuple[str, str]]
) -> None:
    root, hold, broken = fleet.folder / "again", fleet.folder / "hold", fleet.folder / "broken"
    before = {run.id for run in fleet.runs("paint-image-shard")}
    broken.touch()
    with pytest.raises(EngineFailed, match=r"4 of 4 units are not settled.*off the bus"):
        generate_dataset(patient_plan(), str(root))  # all is written
    broken.unlink()
    hold.touch()
    fleet.limit(2)  # the orchestrator and one of its two shards
    plan = patient_plan(dispatch="work-pool").model_dump(mode="json")
    dataset = fleet.submit("generate-dataset", {"plan": plan, "root": str(root)})
    held = wait_for("a paint run", lambda: _first(fleet, "paint-image-shard", "Running"))
    wait_for("an engine's process", lambda: "models.engine_child" in _commands(fleet) or None)
    fleet.set_state(dataset, Cancelling())
    assert fleet.ended(dataset).is_cancelled()
    assert fleet.ended(held).is_cancelled()
    painted = [run for run in fleet.runs("paint-image-shard") if run.id not in before]
    assert all(fleet.ended(run).is_cancelled() for run in painted)
    names = {f"paint tiny shard {number} round 1" for number in range(2)}
    assert {run.name for run in painted} == names, "also of the one that was queued"
    wait_for("the end of all processes", lambda: _only_server_and_worker(fleet))

    hold.unlink()
    fleet.limit(None)
    missing = {"dataset": "tiny", "root": str(root)}
    missing |= {"execution": {"dispatch": "work-pool", "shard_units": 2, "num_processes": 1}}
    assert fleet.ended(fleet.submit("retry-failed-units", missing)).is_completed()
    assert identities(root) == inline
    num_painted = len(fleet.runs("paint-image-shard"))
    assert num_painted == len(before) + len(painted) + 2

    fleet.set_state(dataset, Scheduled())  # Retry, in Prefect's UI
    wait_for("its new start", lambda: _first(fleet, "generate-dataset", "Running"))
    assert fleet.ended(dataset).is_completed()
    assert identities(root) == inline
    assert len(fleet.runs("paint-image-shard")) == num_painted, "nothing was missing"


@pytest.mark.server
def test_cancelled_inline_dataset_leaves_no_process(fleet: Fleet) -> None:
    hold = fleet.folder / "hold"
    hold.touch()
    plan = patient_plan().model_dump(mode="json")
    root = str(fleet.folder / "inline-cancelled")
    run = fleet.submit("generate-dataset", {"plan": plan, "root": root})
    wait_for("an engine's process", lambda: "models.engine_child" in _commands(fleet) or None)
    fleet.set_state(run, Cancelling())
    assert fleet.ended(run).is_cancelled()
    wait_for("the end of all processes", lambda: _only_server_and_worker(fleet))
    hold.unlink()
    failures = open_work(root, "tiny").dataset.ledger.num_failures(Stage.PAINT)
    assert not failures, "units that were broken off have not failed"


def _first(fleet: Fleet, flow_name: str, state: str) -> Any:
    return next(iter(fleet.runs(flow_name, state)), None)


def _kill_process_of(run: FlowRun) -> None:
    os.kill(int(str(run.infrastructure_pid).rpartition(":")[2]), signal.SIGKILL)


def _commands(fleet: Fleet) -> str:
    return " ".join(processes_with("PREFECT_API_URL", fleet.url).values())


def _only_server_and_worker(fleet: Fleet) -> bool | None:
    found = processes_with("PREFECT_API_URL", fleet.url)
    return all(" server " in one or " worker " in one for one in found.values()) or None
