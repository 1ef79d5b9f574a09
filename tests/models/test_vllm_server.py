"""Starting, watching and stopping a server: against a stand-in that a real process runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models.vllm_server import ServerSettings, VllmServer, vllm_environment
from storage.errors import EngineUnavailable
from tests.models.vllm_environment import is_alive, make_environment, make_model, started


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXR_VLLM_ENV", str(make_environment(tmp_path / "env")))
    return make_model(tmp_path / "model")


def settings(model: Path) -> ServerSettings:
    return ServerSettings(model, "tiny", "auto", 2048, None)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_server_starts_answers_and_takes_its_workers_with_it(model: Path) -> None:
    server = VllmServer(settings(model))
    assert server.ending() == "is stopped"
    address = server.address()
    assert address == server.address()
    assert server.ending() is None
    pids = started(model)
    server.close()
    assert not is_alive(pids["pid"])
    assert not is_alive(pids["worker"])


def test_server_on_the_cpu_is_told_so(model: Path) -> None:
    server = VllmServer(settings(model))
    server.address()
    command = " ".join(started(model)["arguments"])
    server.close()
    assert "--dtype float32" in command
    assert "--enforce-eager --no-enable-chunked-prefill" in command
    assert "--max-model-len 2048" in command
    assert "tensor-parallel" not in command


def test_server_takes_every_gpu_of_its_group(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_VLLM_ENV", str(make_environment(tmp_path / "gpu", "vllm")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    server = VllmServer(settings(model))
    server.address()
    command = " ".join(started(model)["arguments"])
    server.close()
    assert "--tensor-parallel-size 4" in command
    assert "--dtype auto" in command
    assert "--enforce-eager" not in command


def test_server_that_died_says_how_and_is_started_again(model: Path) -> None:
    server = VllmServer(settings(model))
    server.address()
    first = started(model)
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: server.ending() is not None)
    assert (server.ending() or "").startswith("ended with exit status 137")
    assert not is_alive(first["worker"])
    server.address()
    assert started(model)["pid"] != first["pid"]
    assert server.ending() is None
    server.close()


def test_server_that_cannot_start_says_its_last_error(model: Path) -> None:
    (model / "refuses").touch()
    server = VllmServer(settings(model))
    with pytest.raises(EngineUnavailable, match=r"status 1: ValueError: no room for the KV cache"):
        server.address()
    server.close()


def test_server_dies_with_a_parent_that_is_killed(model: Path) -> None:
    program = f"""
from pathlib import Path
from models.vllm_server import ServerSettings, VllmServer
server = VllmServer(ServerSettings(Path({str(model)!r}), "tiny", "auto", None, None))
server.address()
print("up", flush=True)
input()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    assert parent.stdout.readline() == b"up\n"
    pids = started(model)
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(pids["pid"]) and not is_alive(pids["worker"]))
    parent.stdin.close()
    parent.stdout.close()


def test_guard_leaves_signals_of_a_closing_terminal_to_its_parent(model: Path) -> None:
    server = VllmServer(settings(model))
    server.address()
    assert server._guard is not None
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        server._guard.send_signal(number)
    assert server.ending(within_seconds=0.5) is None
    pid = started(model)["pid"]
    server.close()
    assert not is_alive(pid)


def test_environment_that_is_missing_is_said_with_how_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_VLLM_ENV", str(tmp_path))
    with pytest.raises(EngineUnavailable, match=r"found none; run make vllm"):
        vllm_environment()
