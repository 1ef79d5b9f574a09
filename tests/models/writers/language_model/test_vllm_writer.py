"""The writer that supervises its server: against a stand-in, and against the real vLLM."""

import os
import signal
import threading
from pathlib import Path

import pytest

from models.engine_queue import EngineQueue
from models.engines import WriteRequest, engine_config
from models.gates.report import ReportRules
from models.settling import Attempt
from models.taggers.configs import LexiconConfig
from models.writers.language_model.configs import VllmConfig
from models.writers.language_model.vllm_writer import VllmWriter
from models.writers.writing import WriteOutcome, WriteStationConfig, write_samples
from storage.errors import EngineFailed, EngineUnavailable
from storage.records import (
    Entity,
    EntityKind,
    EntityStatus,
    Outcome,
    Report,
    ReportRow,
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


def requests(num: int) -> list[WriteRequest]:
    return [WriteRequest(str(i), i, (EFFUSION,), View.PA) for i in range(num)]


def open_stand_in(model: Path, silence_seconds: float = 60.0) -> VllmWriter:
    config = engine_config("writers", {"kind": "vllm", "model": str(model), "passes": "structured"})
    assert isinstance(config, VllmConfig)
    return VllmWriter(config, silence_seconds)


def test_server_that_dies_in_mid_batch_fails_it_and_is_started_again(model: Path) -> None:
    writer = open_stand_in(model)
    (model / "dies").touch()
    with pytest.raises(EngineFailed, match=r"the vLLM server ended with exit status 9"):
        writer.write(requests(3))
    answers = writer.write(requests(3))
    pids = started(model)
    writer.close()
    assert [answer.report for answer in answers] == [Report("Clear lungs.", "Normal.")] * 3
    assert not is_alive(pids["pid"])


def test_server_that_hangs_is_stopped_and_started_again(model: Path) -> None:
    writer = open_stand_in(model, silence_seconds=1.0)
    hung = started(model)["pid"]
    (model / "hangs").touch()
    with pytest.raises(EngineFailed, match="the vLLM server hung: no answer in 1 s"):
        writer.write(requests(1))
    assert not is_alive(hung)
    assert len(writer.write(requests(1))) == 1
    writer.close()


def test_writers_of_one_config_share_a_server_and_the_last_stops_it(model: Path) -> None:
    first, second = open_stand_in(model), open_stand_in(model)
    pid = started(model)["pid"]
    first.write(requests(1))
    first.close()
    assert is_alive(pid)
    second.write(requests(1))
    second.close()
    assert not is_alive(pid)


def test_writer_whose_model_cannot_be_served_leaves_no_server(model: Path) -> None:
    (model / "refuses").touch()
    with pytest.raises(EngineUnavailable, match="no room for the KV cache"):
        open_stand_in(model)
    (model / "refuses").unlink()
    open_stand_in(model).close()


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
    writer = config.open()
    (alone,) = writer.write(requests(1))
    together = writer.write(requests(8))
    killing = threading.Timer(1.0, _kill_server, [writer])
    killing.start()
    with pytest.raises(EngineFailed, match="the vLLM server ended with exit status 137"):
        writer.write(requests(8))
    settled = _settle_unit(config)
    (again,) = writer.write(requests(1))
    writer.close()
    for rows in (together, settled):
        assert any(row.report.impression for row in rows)  # some were whole, and read as JSON
    assert again.report == alone.report  # the seed decides, on the server started again too


def _kill_server(writer: VllmWriter) -> None:
    """As the kernel does when memory runs out."""
    guard = writer._model._server._guard
    assert guard is not None
    (server,) = Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text().split()
    os.kill(int(server), signal.SIGKILL)


def _settle_unit(config: VllmConfig) -> list[ReportRow]:
    """Eight samples through queue, tagger and gate; one try each, with the seeds of `requests`."""
    station = WriteStationConfig(config, LexiconConfig(), ReportRules())
    samples = [Sample(i, str(i), 0, Split.TRAIN, (EFFUSION,), View.PA) for i in range(8)]
    with EngineQueue[WriteRequest, WriteOutcome](station) as queue:
        rows = write_samples(samples, queue.submit, lambda name, _: int(name), 1, 600, ATTEMPT)
    assert all(row.outcome in (Outcome.ACCEPTED, Outcome.REJECTED) for row in rows)
    return rows
