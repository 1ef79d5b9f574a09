"""`up` and `init` as a person types them: a real server, real workers, and nothing left behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running, State, Submitting

from deployments.automations import ensure_automation, silent_runs, stuck_runs
from deployments.left_runs import crash_left_runs
from deployments.pools import POOLS
from flows.cli import _run, app
from storage.layout import Table
from storage.releases import Release
from tasks.events import announce_checkpoint, announce_release
from tests.deployments.processes import free_ports, processes_with, wait_until
from tests.flows.conftest import tiny_plan

CLI = str(Path(sys.executable).parent / "cxr-factory")

RELEASE = Release(
    number=3,
    dataset="tiny",
    fingerprint="f" * 64,
    versions={Table.PAIRS: 1},
    num_accepted=24,
    target=24,
    complete=True,
    restricted=False,
    created_at="2026-01-01T00:00:00+00:00",
)

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Fleet:
    """A running `up`."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    browser_port: int

    @property
    def said(self) -> str:
        return (self.folder / "up.log").read_text()

    @property
    def root(self) -> Path:
        return self.folder / "factory"

    @property
    def client(self) -> SyncPrefectClient:
        return get_client(sync_client=True)

    def workers(self) -> dict[str, int]:
        """The workers' processes by pool."""
        found = {}
        for pid, command in processes_with(str(self.root)).items():
            if (pool := re.search(r"-m prefect worker start .*--pool (\S+)", command)) and (
                "server_guard" not in command
            ):
                found[pool[1]] = pid
        return found


def _told() -> dict[str, str]:
    """The environment less what belongs to Prefect servers of other tests."""
    ours = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    return ours | {"CUDA_VISIBLE_DEVICES": ""}


@contextmanager
def _up(folder: Path) -> Iterator[Fleet]:
    port, browser_port = free_ports(2)
    ports = ["--port", str(port), "--browser-port", str(browser_port)]
    command = [CLI, "up", "--root", str(folder / "factory"), *ports]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=_told())
    fleet = Fleet(process, folder, port, browser_port)
    try:
        wait_until(lambda: "Ctrl-C" in fleet.said or process.poll() is not None, "up", 300)
        assert process.poll() is None, fleet.said
        yield fleet
    finally:
        process.kill()
        process.wait()
        wait_until(lambda: processes_with(str(folder)) == {}, "the end of all", seconds=60)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with _up(tmp_path_factory.mktemp("fleet")) as running:
        address = f"http://127.0.0.1:{running.port}/api"
        with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: address}):
            patch.setenv("PREFECT_API_URL", address)
            # Prefect keeps one sender of events a process, which other tests' server may have
            EventsWorker.set_client_override(PrefectEventsClient, api_url=address)
            yield running
            EventsWorker.set_client_override(None)


def test_up_serves_the_ui_and_a_worker_of_every_pool_comes_online(fleet: Fleet) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{fleet.port}/", timeout=30) as page:
        assert b"Prefect" in page.read()
    assert f"http://127.0.0.1:{fleet.port}/api" in fleet.said
    for pool in POOLS:
        wait_until(lambda pool=pool: _online(fleet, pool), f"a worker of {pool}")
        queues = fleet.client.read_work_queue_by_name("urgent", pool).priority
        assert queues < fleet.client.read_work_queue_by_name("default", pool).priority


def test_up_serves_the_browser_and_says_where(fleet: Fleet) -> None:
    address = f"http://127.0.0.1:{fleet.browser_port}"
    assert f"browser  {address}" in fleet.said

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{address}/api", timeout=30) as answer:
                return bool(json.load(answer)["root"] == str(fleet.root))
        except OSError:
            return False

    wait_until(answers, "the browser")


def test_up_has_a_patrol_on_its_server(fleet: Fleet) -> None:
    log = fleet.root / "prefect" / "logs" / "patrol.log"
    says = f"patrol at http://127.0.0.1:{fleet.port}/api, every 5 s"
    wait_until(lambda: log.exists() and says in log.read_text(), "the patrol")


def _online(fleet: Fleet, pool: str) -> bool:
    workers = fleet.client.read_workers_for_work_pool(pool)
    return [worker.status.value for worker in workers] == ["ONLINE"]


def _init(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    words = ["init", "--root", str(fleet.root), "--json"]
    assert _run(lambda: app(words, standalone_mode=False)) == 0
    changes: list[dict[str, str]] = json.loads(capsys.readouterr().out)["changes"]
    return changes


def test_init_again_changes_nothing_and_leaves_what_a_person_set(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {one.name: one.updated for one in fleet.client.read_deployments()}
    assert {change["outcome"] for change in _init(fleet, capsys)} == {"unchanged"}
    assert before == {one.name: one.updated for one in fleet.client.read_deployments()}
    deployment = fleet.client.read_deployment_by_name("generate-dataset/generate-dataset")
    assert deployment.entrypoint == "flows.generate.generate_dataset"
    assert deployment.parameters["root"] == str(fleet.root)
    ours = deployment.parameters | {"plan": {"name": "mine"}}
    address = f"/deployments/{deployment.id}"
    fleet.client.request("PATCH", address, json={"parameters": ours, "description": "old"})
    older = ensure_automation(fleet.client, stuck_runs(timedelta(seconds=900)))
    assert older.outcome == "updated"
    (automation,) = fleet.client.read_automations_by_name(stuck_runs().name)
    fleet.client.pause_automation(automation.id)
    changed = [one["thing"] for one in _init(fleet, capsys) if one["outcome"] == "updated"]
    assert changed == [
        "deployment generate-dataset/generate-dataset",
        "automation 'Crash runs that never start'",
    ]
    (automation,) = fleet.client.read_automations_by_name(stuck_runs().name)
    assert not automation.enabled, "it was switched off"
    again = fleet.client.read_deployment(deployment.id)
    assert again.parameters == ours
    assert again.description == deployment.description
    assert [schedule.active for schedule in again.schedules] == [False]


def test_release_starts_pretraining_and_a_checkpoint_starts_evaluation(fleet: Fleet) -> None:
    with _paused(fleet, "gpu-image", "cpu"):
        for _ in range(2):  # two racing runs announce the same release
            announce_release(str(fleet.root), RELEASE)
        pretrained = _only_run(fleet, "pretrain")
        assert pretrained.parameters == {
            "root": str(fleet.root),
            "plan": {"name": "tiny", "dataset": "tiny", "release": 3, "model": {}},
        }
        announce_checkpoint(str(fleet.root), "tiny-r3", "tiny@3")
        evaluated = _only_run(fleet, "evaluate")
        assert evaluated.parameters["plan"]["run"] == "tiny-r3"
        assert evaluated.parameters["plan"]["sets"][0]["kind"] == "phantoms"
        assert len(_runs(fleet, "pretrain")) == 1


@contextmanager
def _paused(fleet: Fleet, *pools: str) -> Iterator[None]:
    """What is started in the pools waits, and is gone afterwards: there are no such datasets."""
    for pool in pools:
        fleet.client.request("PATCH", f"/work_pools/{pool}", json={"is_paused": True})
    yield
    for run in fleet.client.read_flow_runs():
        fleet.client.delete_flow_run(run.id)
    for pool in pools:
        fleet.client.request("PATCH", f"/work_pools/{pool}", json={"is_paused": False})


def _runs(fleet: Fleet, name: str) -> list[FlowRun]:
    chosen = FlowFilter(name=FlowFilterName(any_=[name]))
    return fleet.client.read_flow_runs(flow_filter=chosen)


def _only_run(fleet: Fleet, name: str) -> FlowRun:
    wait_until(lambda: len(_runs(fleet, name)) == 1, f"a run of {name}")
    return _runs(fleet, name)[0]


def test_runs_whose_process_is_gone_are_found_crashed_and_gone_on_with(fleet: Fleet) -> None:
    for automation in (silent_runs(timedelta(seconds=10)), stuck_runs(timedelta(seconds=10))):
        impatient = automation.model_copy(update={"name": f"impatient: {automation.name}"})
        ensure_automation(fleet.client, impatient)
    deployment = fleet.client.read_deployment_by_name("generate-dataset/generate-dataset")
    plan = tiny_plan().model_dump(mode="json")
    with _paused(fleet, "cpu"):
        silent = fleet.client.create_flow_run_from_deployment(
            deployment.id, parameters={"plan": plan}, state=Running()
        )
        resource = {"prefect.resource.id": f"prefect.flow-run.{silent.id}"}
        emit_event("prefect.flow-run.heartbeat", resource)
        other = fleet.client.read_deployment_by_name("publish-dataset/publish-dataset")
        stuck = fleet.client.create_flow_run_from_deployment(
            other.id, parameters={"dataset": "tiny"}, state=Submitting()
        )
        assert "no heartbeat for 10 s" in _crash_of(fleet, silent)
        assert "not started for 10 s" in _crash_of(fleet, stuck)
        assert _only_run(fleet, "resume-dataset").parameters == {
            "plan": plan,
            "root": str(fleet.root),
        }
        assert _only_run(fleet, "retry-crashed-run").parameters == {"run_id": str(stuck.id)}


def test_worker_that_dies_is_started_again(fleet: Fleet) -> None:
    wait_until(lambda: set(fleet.workers()) == set(POOLS), "all workers")
    killed = fleet.workers()["gpu-text"]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: fleet.workers().get("gpu-text", killed) != killed, "another worker")
    assert "gpu-text ended with exit status 137; started again" in fleet.said


def test_up_on_a_port_in_use_says_so_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [CLI, "up", "--root", str(tmp_path / "factory"), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"expected port {port} to be free" in line
    assert not (tmp_path / "factory").exists()


def test_up_on_a_store_that_does_not_answer_says_so_in_one_line(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    home = tmp_path / "prefect"
    told = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "PREFECT_HOME": str(home)}
    told |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    command = [CLI, "up", "--root", "s3://factory/here"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=_told() | told
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "s3://factory/here" in line
    assert "check AWS_ENDPOINT_URL" in line
    assert not (home / "logs").exists(), "nothing was started"


def _crash_of(fleet: Fleet, run: FlowRun) -> str:
    """The message of the run's crash, once it has crashed."""

    def state() -> State:
        found = fleet.client.read_flow_run(run.id).state
        assert found is not None
        return found

    wait_until(lambda: state().is_crashed(), f"the crash of {run.name}")
    return str(state().message)


def test_up_beside_another_on_the_same_state_says_so_in_one_line(fleet: Fleet) -> None:
    port, browser_port = free_ports(2)
    ports = ["--port", str(port), "--browser-port", str(browser_port)]
    command = [CLI, "up", "--root", str(fleet.root), *ports]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=_told()
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"cxr-factory up runs there as process {fleet.process.pid};" in line


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:{port}/api"])
def test_init_without_a_server_says_so_in_one_line(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    words = ["init", "--root", str(tmp_path / "factory")]
    with temporary_settings({PREFECT_API_URL: address.format(port=port) or None}):
        assert _run(lambda: app(words, standalone_mode=False)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.strip().splitlines()
    assert line.startswith("cxr-factory: expected ")
    assert (f"server at http://127.0.0.1:{port}/api, got:" in line) == bool(address)


def test_runs_that_an_earlier_fleet_left_are_marked_crashed(fleet: Fleet) -> None:
    deployment = fleet.client.read_deployment_by_name("publish-dataset/publish-dataset")
    left = fleet.client.create_flow_run_from_deployment(
        deployment.id, parameters={"dataset": "tiny"}, state=Running()
    )
    assert crash_left_runs(fleet.client) >= 1
    assert _crash_of(fleet, left) == "its worker ended with the fleet"


def test_up_told_to_end_stops_everything(fleet: Fleet) -> None:  # the last test of this fleet
    fleet.process.send_signal(signal.SIGTERM)
    assert fleet.process.wait(timeout=120) == 0, fleet.said
    assert processes_with(str(fleet.folder)) == {}
    assert "Traceback" not in fleet.said
