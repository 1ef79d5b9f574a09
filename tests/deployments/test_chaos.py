"""A fleet whose processes are killed at random while it makes datasets: all of it holds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.chaos.kills import STOP_SECONDS, Kill, Kind, end_what_stays
from benchmarks.chaos.survey import Process, Role

NUM_KILLS = 10
_PROJECT = Path(__file__).parents[2]


@pytest.mark.chaos
@pytest.mark.server
@pytest.mark.s3
@pytest.mark.timeout(1500)
def test_datasets_made_under_kills_of_every_kind_equal_undisturbed_ones() -> None:
    pytest.importorskip("prefect_redis", reason="install the extra fleet")
    if not (shutil.which("initdb") or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))):
        pytest.skip("no Postgres: the program initdb is absent; apt-get install postgresql")
    if shutil.which("redis-server") is None:
        pytest.skip("no Redis: the command redis-server is absent; apt-get install redis-server")
    ours = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    command = [sys.executable, "-m", "benchmarks.chaos"]
    options = ["--kills", str(NUM_KILLS), "--datasets", "4", "--seed", "1", "--deadline", "1200"]
    ran = subprocess.run(
        [*command, *options], cwd=_PROJECT, env=ours, capture_output=True, text=True, check=False
    )
    assert ran.stdout, ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["failures"] == [], ran.stderr[-3000:]
    assert ran.returncode == 0
    assert found["kills"] == NUM_KILLS
    assert found["released"] == found["datasets"] == 4
    assert found["by_painter"] == {"phantom": 1, "unhurried": 1, "moody": 1, "diffusers": 1}
    assert all(of_kind["survived"] == of_kind["kills"] > 0 for of_kind in found["by_kind"].values())
    assert found["longest_held_by_the_dead_seconds"] <= 120


def test_server_that_was_told_to_end_and_stays_is_killed_when_its_time_is_over() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        server = Process(running.pid, os.getpid(), Role.SERVER, "server")
        told_at = time.monotonic()
        assert not end_what_stays(Kill(Kind.SERVER, server, told_at), [server])
        assert running.poll() is None
        told_at -= STOP_SECONDS + 1
        assert not end_what_stays(Kill(Kind.SERVER, server, told_at), [])  # its id may be another's
        assert end_what_stays(Kill(Kind.SERVER, server, told_at), [server])
        assert running.wait(timeout=60) == -signal.SIGKILL
