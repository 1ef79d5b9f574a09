"""What an operator meets: no worker, a paused pool, a full disk, a server or a worker away."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from deployments.automations import ensure_automation, mute_runs, silent_runs
from flows.generate import generate_dataset
from storage.errors import EngineFailed
from tests.flows.fleet import Fleet, prefect_server, process_worker, processes_with, wait_for
from tests.flows.patient import identities, patient_painter, patient_plan

# Each flow run takes 5 to 10 s of CPU to start.
pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

AWAY_SECONDS = 15.0
SILENT_FOR = timedelta(seconds=45)  # a heartbeat comes every 30
PAINT = "paint-image-shard"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("faults")
    with patient_painter(folder):
        yield folder


@pytest.fixture(scope="module")
def inline(folder: Path) -> set[tuple[str, str]]:
    """The release that all others must equal."""
    generate_dataset(patient_plan(), str(folder / "inline"))
    return identities(folder / "inline")


@pytest.fixture(scope="module")
def fleet(folder: Path) -> Iterator[Fleet]:
    with prefect_server(folder) as fleet:
        fleet.deploy()
        try:
            yield fleet
        finally:
            (folder / "hold").unlink(missing_ok=True)
            for pid in processes_with("PREFECT_API_URL", fleet.url):
                if pid != os.getpid():
                    os.kill(pid, signal.SIGKILL)


def test_paused_pool_and_pool_without_worker_are_said_and_gone_on_with(
    fleet: Fleet, inline: set[tuple[str, str]]
) -> None:
    hold = fleet.folder / "hold"
    hold.touch()
    fleet.limit(1)  # one of the two shards waits
    with process_worker(fleet, "first"):
        command = _generate(fleet, _written(fleet, "idle"))
        _paint_run(fleet, "Running")
        fleet.pause()
        hold.unlink()
        _paint_run(fleet, "Completed")
        wait_for("word of the pause", lambda: _logged(fleet, "pool any: paused; 1 shard waits"))
    fleet.resume()
    wait_for("word of no worker", lambda: _logged(fleet, "pool any: no worker online for"))
    said, _ = fleet.command("status", "tiny", "--root", "idle", "--json").communicate(timeout=120)
    (pool,) = json.loads(said)["idle_pools"]
    assert (pool["name"], pool["num_shards"], pool["is_paused"]) == ("any", 1, False)
    with fleet.client() as client:
        assert any(one.key == "tiny-waiting" for one in client.read_artifacts())
    assert len(fleet.runs(PAINT, "Completed")) == 1, "nothing was begun meanwhile"
    with process_worker(fleet, "second"):
        _ended_well(command)
    assert identities(fleet.folder / "idle") == inline
    assert _logged(fleet, "no shard waits in vain any more")


def test_worker_that_is_shut_down_leaves_its_shard_to_another(
    fleet: Fleet, inline: set[tuple[str, str]]
) -> None:
    """Its run ends with it and reports nothing: it is found by its silence, and begun again."""
    hold = fleet.folder / "hold"
    hold.touch()
    with _silence_noticed(fleet):
        with process_worker(fleet, "stopped") as pid:
            command = _generate(fleet, _written(fleet, "stopped"), shard_units=4)
            lost = _paint_run(fleet, "Running")
            os.kill(pid, signal.SIGTERM)
            wait_for("the end of its processes", lambda: _no_engine(fleet))
        hold.unlink()
        with process_worker(fleet, "another"):
            _ended_well(command)
    assert fleet.ended(lost).is_crashed()
    assert identities(fleet.folder / "stopped") == inline


@pytest.fixture(scope="module")
def worker(fleet: Fleet) -> Iterator[None]:
    fleet.limit(None)
    with process_worker(fleet):
        yield


@pytest.mark.usefixtures("worker")
def test_server_away_while_shards_work_is_waited_for(
    fleet: Fleet, inline: set[tuple[str, str]]
) -> None:
    hold = fleet.folder / "hold"
    hold.touch()
    command = _generate(fleet, "away", shard_units=4)
    _paint_run(fleet, "Running")
    fleet.server.kill()
    hold.unlink()  # the shard works on, and ends, without a server
    time.sleep(AWAY_SECONDS)
    fleet.server.start()
    _ended_well(command)
    assert identities(fleet.folder / "away") == inline


@pytest.mark.usefixtures("worker")
def test_dataset_that_failed_for_good_is_retried_in_the_pool(
    fleet: Fleet, inline: set[tuple[str, str]]
) -> None:
    broken = fleet.folder / "broken"
    root = _written(fleet, "retried")
    broken.touch()
    (line,) = _ended_badly(_generate(fleet, root, shard_attempts=1))
    assert "tiny: 4 of 4 units are not settled (unit 0: RuntimeError: Xid 79" in line
    assert "cxr-factory retry tiny --root retried" in line
    broken.unlink()
    _ended_well(_retry(fleet, root))
    assert identities(fleet.folder / root) == inline


@pytest.mark.usefixtures("worker")
def test_full_disk_is_one_line_and_retried_after_room_was_made(
    fleet: Fleet, inline: set[tuple[str, str]]
) -> None:
    hold = fleet.folder / "hold"
    with _small_disk(fleet.folder / "small") as disk:
        root = _written(fleet, str(disk / "factory"))
        hold.touch()
        command = _generate(fleet, root, shard_units=4)
        _paint_run(fleet, "Running")
        ballast = _fill(disk)
        hold.unlink()
        (line,) = _ended_badly(command)
        assert "free space and run again" in line
        states = [run.state.message for run in fleet.runs(PAINT, "Failed") if run.state]
        assert any("StoreFull" in str(message) for message in states)
        ballast.unlink()
        _ended_well(_retry(fleet, root))
        assert identities(Path(root)) == inline


@pytest.mark.usefixtures("worker")
def test_command_cancelled_in_prefect_is_cancelled_at_once(fleet: Fleet) -> None:
    (fleet.folder / "hold").touch()
    command = _generate(fleet, _written(fleet, "cancelled"), shard_units=4)
    painted = _paint_run(fleet, "Running")
    _cancelled_at_once(fleet, command)
    assert fleet.ended(painted).is_cancelled()
    (fleet.folder / "hold").unlink()


def test_inline_command_cancelled_in_prefect_is_cancelled_at_once(fleet: Fleet) -> None:
    (fleet.folder / "hold").touch()
    _written_plan(fleet, dispatch="inline")
    command = fleet.background_command("generate", "plan.yaml", "--root", "cancelled-inline")
    wait_for("an engine", lambda: _no_engine(fleet) is None or None)
    _cancelled_at_once(fleet, command)
    wait_for("the end of its engine", lambda: _no_engine(fleet))
    (fleet.folder / "hold").unlink()


def _cancelled_at_once(fleet: Fleet, command: "subprocess.Popen[str]") -> None:
    (run,) = (run for run in _commands(fleet) if run.state and run.state.is_running())
    fleet.set_state(run, Cancelling())
    (line,) = _ended_badly(command)
    assert "was cancelled in Prefect, and its shards with it; run the same command again" in line
    with fleet.client() as client:
        state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.is_cancelled(), state


@contextmanager
def _silence_noticed(fleet: Fleet) -> Iterator[None]:
    """What cxr-factory init installs, with less patience."""
    impatient = (silent_runs(SILENT_FOR), mute_runs(SILENT_FOR))
    with fleet.client() as client:
        for automation in impatient:
            ensure_automation(client, automation)
        yield
        for automation in impatient:
            (found,) = client.read_automations_by_name(automation.name)
            client.delete_automation(found.id)


def _written(fleet: Fleet, root: str) -> str:
    """A dataset whose reports are written, so that only shards to be painted are begun."""
    broken = fleet.folder / "broken"
    broken.touch()
    with pytest.raises(EngineFailed, match="units are not settled"):
        generate_dataset(patient_plan(), str(fleet.folder / root))
    broken.unlink()
    return root


def _written_plan(fleet: Fleet, **changes: Any) -> None:
    plan = patient_plan(**changes).model_dump(mode="json")
    (fleet.folder / "plan.yaml").write_text(yaml.safe_dump(plan))


def _generate(fleet: Fleet, root: str, **changes: Any) -> "subprocess.Popen[str]":
    _written_plan(fleet, **{"dispatch": "work-pool"} | changes)
    return fleet.command("generate", "plan.yaml", "--root", root, "--json")


def _retry(fleet: Fleet, root: str) -> "subprocess.Popen[str]":
    return fleet.command("retry", "tiny", "--root", root, "--dispatch", "work-pool", "--json")


def _ended_well(command: "subprocess.Popen[str]") -> None:
    said = command.communicate(timeout=300)
    assert command.returncode == 0, said


def _ended_badly(command: "subprocess.Popen[str]") -> list[str]:
    """What the command complains of: its lines beside the bars of progress."""
    _, said = command.communicate(timeout=300)
    assert command.returncode == 1
    return [line for line in said.splitlines() if line.startswith("cxr-factory: ")]


def _paint_run(fleet: Fleet, state: str) -> FlowRun:
    """The newest run of a paint shard, once it is in a state."""

    def newest() -> FlowRun | None:
        return next(iter(reversed(fleet.runs(PAINT, state))), None)

    return wait_for(f"a paint run to be {state}", newest)


def _commands(fleet: Fleet) -> list[FlowRun]:
    """Runs of generate-dataset, which no worker started."""
    with fleet.client() as client:
        named = FlowFilter(name=FlowFilterName(any_=["generate-dataset"]))
        return client.read_flow_runs(flow_filter=named)


def _logged(fleet: Fleet, words: str) -> bool | None:
    return words in fleet.log_of("generate-dataset") or None


def _no_engine(fleet: Fleet) -> bool | None:
    found = processes_with("PREFECT_API_URL", fleet.url).values()
    return not any("prefect.engine" in one or "engine_child" in one for one in found) or None


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no small disk: mounting one takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(disk: Path) -> Path:
    """A file that takes all that is free."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"\0" * 4096):
            pass
    return ballast
