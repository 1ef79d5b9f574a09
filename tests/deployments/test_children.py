"""A child of the fleet, and all that it starts, end with whoever watches it."""

import os
import subprocess
import sys
from pathlib import Path

from deployments.children import Child
from tests.deployments.processes import processes_with, wait_until

# A worker puts every flow run into a session of its own, out of reach of signals to its group.
WORKER = """
import subprocess, sys, time
run = [sys.executable, "-c", "import time; time.sleep(600)"]
subprocess.Popen(run, start_new_session=True)
print("started", flush=True)
time.sleep(600)
"""


def _child(folder: Path) -> Child:
    environment = os.environ | {"MARK": str(folder)}
    return Child("worker", [sys.executable, "-c", WORKER], environment, folder / "worker.log")


def _started(child: Child) -> bool:
    return child.log.exists() and "started" in child.log.read_text()


def test_child_that_is_stopped_takes_runs_in_sessions_of_their_own_with_it(tmp_path: Path) -> None:
    child = _child(tmp_path)
    child.start()
    wait_until(lambda: _started(child), "the start")
    assert len(processes_with(str(tmp_path))) == 3, "guard, worker and run"
    assert child.exit_status() is None
    child.ask_to_stop()
    child.wait()
    assert processes_with(str(tmp_path)) == {}


def test_child_of_a_killed_parent_is_gone_with_all_that_it_started(tmp_path: Path) -> None:
    program = f"""
import os, sys
from pathlib import Path
from tests.deployments.test_children import _child
_child(Path({str(tmp_path)!r})).start()
sys.stdin.read()
"""
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, cwd=root)
    log = tmp_path / "worker.log"
    wait_until(lambda: log.exists() and "started" in log.read_text(), "the start")
    parent.kill()
    parent.communicate()
    wait_until(lambda: processes_with(str(tmp_path)) == {}, "the end of all", seconds=30)


def test_child_that_dies_is_told_by_its_status_and_last_words(tmp_path: Path) -> None:
    words = "import sys; print('no such pool'); sys.exit(3)"
    child = Child("worker", [sys.executable, "-c", words], os.environ, tmp_path / "worker.log")
    child.start()
    child.wait()
    assert child.exit_status() == 3
    assert child.last_words() == "no such pool"
    assert not child.may_restart(), "not at once: it may die of the same thing for ever"
