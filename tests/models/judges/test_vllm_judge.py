"""The judge that supervises its server, against a stand-in."""

from pathlib import Path

import pytest

from models.engines import engine_config
from models.judges.configs import VllmJudgeConfig
from models.judges.seam import JudgeRequest
from models.judges.vllm_judge import VllmJudge
from storage.errors import EngineFailed
from tests.models.judges.answers import image
from tests.models.vllm_environment import is_alive, make_environment, make_model, started


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXR_VLLM_ENV", str(make_environment(tmp_path / "env")))
    return make_model(tmp_path / "model")


def open_judge(model: Path, *arguments: str) -> VllmJudge:
    settings = {"kind": "vllm", "model": str(model), "server_arguments": list(arguments)}
    config = engine_config("judges", settings)
    assert isinstance(config, VllmJudgeConfig)
    return VllmJudge(config)


def test_server_is_given_the_arguments_of_the_plan_and_stopped_at_close(model: Path) -> None:
    judge = open_judge(model, "--load-format", "dummy")
    server = started(model)
    judge.close()
    arguments = server["arguments"]
    assert arguments[arguments.index("--limit-mm-per-prompt") + 1] == '{"image": 1}'
    assert arguments[-2:] == ["--load-format", "dummy"]
    assert not is_alive(server["pid"])


def test_server_that_dies_in_mid_batch_fails_it_and_is_started_again(model: Path) -> None:
    judge = open_judge(model)
    (model / "dies").touch()
    with pytest.raises(EngineFailed, match=r"the vLLM server ended with exit status 9"):
        judge.judge([JudgeRequest("s", 1, image(1))])
    (judgement,) = judge.judge([JudgeRequest("s", 1, image(1))])
    judge.close()
    assert judgement.answers == (), "the stand-in writes reports, which answer no question"
