"""The writer that supervises its server: against a stand-in, and against the real vLLM."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from models.engines import WriteRequest, engine_config
from models.gates.report import ReportRules
from models.served_queue import ServedQueue
from models.settling import Attempt
from models.taggers.configs import LexiconConfig
from models.writers.language_model.configs import VllmConfig
from models.writers.writing import WriteOutcome, WriteStationConfig, write_samples
from storage.errors import EngineFailed, EngineStopped, EngineUnavailable
from storage.records import (
    Entity,
    EntityKind,
    EntityStatus,
    Report,
    Sample,
    Split,
    View,
)
from tests.models.vllm_environment import is_alive, make_environment, make_model, started

EFFUSION = Entity("pleural effusion", EntityKind.ABNORMALITY, EntityStatus.PRESENT)
ATTEMPT = Attempt("1-a", "vllm", "r", "{}", "", "", "")
REAL_ENVIRONMENT = Path(__file__).resolve().parents[4] / ".venv-vllm"
REAL_MODEL = REAL_ENVIRONMENT / "SmolLM2-135M-Instruct"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXR_VLLM_ENV", str(make_environment(tmp_path / "env")))
    return make_model(tmp_path / "model")


SAMPLES = [Sample(i, str(i), 0, Split.TRAIN, (EFFUSION,), View.PA) for i in range(8)]
Queue = ServedQueue[WriteRequest, WriteOutcome]


def wait_for(queue: Queue, asked: list[WriteRequest]) -> list[WriteOutcome]:
    return [future.result(600) for future in [queue.submit(request) for request in asked]]


def requests(num: int) -> list[WriteRequest]:
    return [WriteRequest(str(i), i, (EFFUSION,), View.PA) for i in range(num)]


def stand_in(model: Path) -> VllmConfig:
    config = engine_config("writers", {"kind": "vllm", "model": str(model), "passes": "structured"})
    assert isinstance(config, VllmConfig)
    return config


def queue_before(config: VllmConfig, silence_seconds: float = 600.0) -> Queue:
    station = WriteStationConfig(config, LexiconConfig(), ReportRules())
    return ServedQueue(station, silence_seconds=silence_seconds)


def test_server_that_dies_fails_what_is_in_flight_and_is_started_again(model: Path) -> None:
    with queue_before(stand_in(model)) as queue:
        (first,) = wait_for(queue, requests(1))
        pid = started(model)["pid"]
        (model / "dies").write_text("3")
        for future in [queue.submit(request) for request in requests(3)]:
            with pytest.raises(EngineFailed, match=r"the vLLM server ended with exit status 9"):
                future.result(60)
        again = wait_for(queue, requests(3))
        pids = started(model)
    assert first.report == Report("Clear lungs.", "Normal.")
    assert [outcome.report for outcome in again] == [first.report] * 3
    assert pids["pid"] != pid
    assert not is_alive(pids["pid"])


def test_server_that_hangs_is_stopped_and_started_again(model: Path) -> None:
    with queue_before(stand_in(model), silence_seconds=1.0) as queue:
        wait_for(queue, requests(1))
        hung = started(model)["pid"]
        (model / "hangs").touch()
        with pytest.raises(EngineFailed, match="the server hung: no answer in 1 s"):
            wait_for(queue, requests(1))
        assert len(wait_for(queue, requests(1))) == 1
        assert not is_alive(hung)


def test_queue_closed_while_the_server_starts_ends_it_at_once(model: Path) -> None:
    (model / "sleeps").touch()
    with queue_before(stand_in(model)) as queue:
        future = queue.submit(requests(1)[0])
        deadline = time.monotonic() + 30
        while not (model / "started.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pids = started(model)
    with pytest.raises(EngineStopped):
        future.result(0)
    assert not is_alive(pids["pid"])
    assert not is_alive(pids["worker"])


def test_writer_whose_model_cannot_be_served_leaves_no_server(model: Path) -> None:
    (model / "refuses").touch()
    with queue_before(stand_in(model)) as queue:
        with pytest.raises(EngineUnavailable, match="no room for the KV cache"):
            wait_for(queue, requests(1))
        (model / "refuses").unlink()
        assert len(wait_for(queue, requests(1))) == 1


def test_missing_environment_is_said_by_the_revision(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_VLLM_ENV", str(tmp_path / "absent"))
    with pytest.raises(EngineUnavailable, match="run make vllm"):
        VllmConfig(model=str(model)).revision()


@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_real_server_writes_reports_is_killed_and_started_again() -> None:
    if not (REAL_MODEL / "config.json").is_file():
        pytest.skip(f"no vLLM with a small model: {REAL_MODEL} is absent; run make smollm2")
    config = VllmConfig(
        model=str(REAL_MODEL),
        context_tokens=1024,
        passes="structured",
        max_findings_tokens=64,
        max_impression_tokens=32,
    )
    with queue_before(config) as queue:
        (alone,) = wait_for(queue, requests(1))
        together = wait_for(queue, requests(8))
        threading.Timer(1.0, _kill_server).start()
        with pytest.raises(EngineFailed, match="the vLLM server ended with exit status 137"):
            wait_for(queue, requests(8))
        settled = write_samples(SAMPLES, queue.submit, lambda name, _: int(name), 1, 600, ATTEMPT)
        (again,) = wait_for(queue, requests(1))
    assert any(outcome.report.impression for outcome in together)  # some were whole JSON
    assert any(row.report and row.report.impression for row in settled)
    assert again.report == alone.report  # the seed decides, on the server started again too


def _kill_server() -> None:
    """As the kernel does when memory runs out."""
    (guard,) = [pid for pid in children(os.getpid()) if b"server_guard" in command_of(pid)]
    (server,) = children(guard)
    os.kill(server, signal.SIGKILL)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")  # of whichever thread began them
    return [int(child) for task in tasks for child in task.read_text().split()]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
