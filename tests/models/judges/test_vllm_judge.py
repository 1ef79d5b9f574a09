"""The judge that supervises its server: against a stand-in, and against the real vLLM."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.engines import engine_config
from models.images import encode_png
from models.judges.configs import VllmJudgeConfig
from models.judges.judge import LanguageModelJudge
from models.judges.questions import Question
from models.judges.seam import JudgeRequest
from storage.errors import EngineFailed
from tests.models.chat.opened import opened
from tests.models.judges.answers import image
from tests.models.judges.tiny_llava import build_llava
from tests.models.vllm_environment import is_alive, make_environment, make_model, started

REAL_ENVIRONMENT = Path(__file__).resolve().parents[3] / ".venv-vllm"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXR_VLLM_ENV", str(make_environment(tmp_path / "env")))
    return make_model(tmp_path / "model")


def judge_of(model: Path, *arguments: str) -> LanguageModelJudge:
    settings = {"kind": "vllm", "model": str(model), "server_arguments": list(arguments)}
    judge = engine_config("judges", settings).open()
    assert isinstance(judge, LanguageModelJudge)
    return judge


def test_server_is_given_the_arguments_of_the_plan_and_stopped_at_close(model: Path) -> None:
    with opened(judge_of(model, "--load-format", "dummy")):
        server = started(model)
    arguments = server["arguments"]
    assert arguments[arguments.index("--limit-mm-per-prompt") + 1] == '{"image": 1}'
    assert arguments[-2:] == ["--load-format", "dummy"]
    assert not is_alive(server["pid"])


def test_server_that_dies_fails_what_it_was_asked_and_is_started_again(model: Path) -> None:
    judge, request = judge_of(model), JudgeRequest("s", 1, image(1))
    with opened(judge) as ask:
        (model / "dies").write_text("1")
        with pytest.raises(EngineFailed, match=r"the vLLM server ended with exit status 9"):
            ask(judge.judge, [request])
        (judgement,) = ask(judge.judge, [request])
    assert judgement.answers == (), "the stand-in writes reports, which answer no question"


@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_real_server_answers_about_a_radiograph_under_the_schema(
    tmp_path: Path, shared_data: Path
) -> None:
    if not list(REAL_ENVIRONMENT.glob("lib/python*/site-packages/torchvision")):
        pytest.skip(f"no vLLM with torchvision in {REAL_ENVIRONMENT}; run make vllm")
    config = VllmJudgeConfig(
        model=str(build_llava(tmp_path / "llava")),
        max_answer_tokens=2048,
        temperature=1.0,
        server_arguments=(
            *("--load-format", "dummy"),
            *(
                "--structured-outputs-config",
                '{"backend": "xgrammar", "disable_any_whitespace": true}',
            ),
        ),
    )
    radiograph = sorted((shared_data / "nih" / "images").glob("*"))[0]
    with Image.open(radiograph) as image:
        png = encode_png(np.asarray(image.convert("L")), "real")
    judge = config.open()
    with opened(judge) as ask:
        together = ask(judge.judge, [JudgeRequest("real", seed, png) for seed in range(4)])
        (alone,), (again,) = (ask(judge.judge, [JudgeRequest("real", 0, png)]) for _ in range(2))
    readable = [judgement for judgement in together if judgement.answers]
    assert readable, "random weights hold to the schema, whatever they say"
    assert all(len(judgement.answers) == len(Question) for judgement in readable)
    assert alone.answers == again.answers, "the seed decides, where batches are the same"
