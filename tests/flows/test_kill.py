"""Killed or told to end at any moment, then the same command again: as an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import lance
import psutil
import pytest
import yaml

from tests.flows.conftest import tiny_plan

NUM_KILLS = 2


def _command(tmp_path: Path, root: Path, **changes: object) -> list[str]:
    plan = tiny_plan(execution={"shard_units": 8, "units_in_flight": 2}, unit_size=2, **changes)
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan.model_dump(mode="json")))
    cli = str(Path(sys.executable).parent / "cxr-factory")
    return [cli, "generate", str(path), "--root", str(root), "--json"]


def _identities(root: Path) -> set[tuple[str, str]]:
    release = lance.dataset(root / "datasets/tiny/pairs.lance")
    rows = release.to_table(columns=["sample_id", "sha256"]).to_pylist()
    assert len(rows) == 24
    return {(row["sample_id"], row["sha256"]) for row in rows}


def _wait_for_progress(process: subprocess.Popen[bytes], root: Path, num_records: int) -> None:
    """Until so many units are settled, so that kills fall into the work and not before it."""
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        if len(list(root.glob("datasets/tiny/ledger/*/*.json"))) >= num_records:
            return
        time.sleep(0.02)


@pytest.mark.server
@pytest.mark.timeout(600)
def test_generate_killed_and_run_again_equals_an_undisturbed_run(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    subprocess.run(_command(tmp_path, undisturbed), check=True, capture_output=True)
    root = tmp_path / "killed"
    chance = random.Random(5)
    settled = 0
    for _ in range(NUM_KILLS):
        settled += chance.randint(1, 12)
        process = subprocess.Popen(
            _command(tmp_path, root),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _wait_for_progress(process, root, settled)
        time.sleep(chance.random() * 0.2)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(_command(tmp_path, root), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert _identities(root) == _identities(undisturbed)


@pytest.mark.server
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "told to end")]
)
def test_a_signal_to_all_its_processes_ends_a_command_at_once_and_it_can_go_on(
    tmp_path: Path, number: signal.Signals, said: str
) -> None:
    root = tmp_path / "factory"
    alone = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    command = _command(tmp_path, root, target={"all": 96})
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=alone,  # so that it starts a server of its own
        start_new_session=True,
    )
    _wait_for_progress(process, root, 1)
    started = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)  # as a terminal's Ctrl-C, and as a service manager
    # Asking for a server that has ended as well took it minutes.
    _, errors = process.communicate(timeout=45)
    assert process.returncode == 128 + number, errors
    assert errors.splitlines()[-1].startswith(f"cxr-factory: {said}; run the same command again")
    assert started and not psutil.wait_procs(started, timeout=30)[1]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
