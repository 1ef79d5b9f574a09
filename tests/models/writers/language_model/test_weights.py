"""What is said of a model on disk before vLLM is started. None of these starts it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.writers.language_model.configs import VllmConfig
from models.writers.language_model.fit import writer_weights
from storage.errors import EngineUnavailable

MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """A folder with the files that are looked at."""

    def make(context_tokens: int = 4096, template: str | None = "{{ messages }}") -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"max_position_embeddings": context_tokens}))
        (folder / "model.safetensors").write_bytes(b"weights")
        tokenizer = {} if template is None else {"chat_template": template}
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
        return folder

    return make


def vllm(folder: Path | str, **changes: Any) -> VllmConfig:
    return VllmConfig.model_validate({"model": str(folder)} | changes)


def test_weights_revision_follows_the_content(make_model: MakeModel) -> None:
    folder = make_model()
    before = writer_weights(vllm(folder))
    assert before.folder == folder
    assert before.context_tokens == 4096
    moved = folder.rename(folder.parent / "moved")
    assert writer_weights(vllm(moved)).revision == before.revision
    (moved / "model.safetensors").write_bytes(b"trained")
    assert writer_weights(vllm(moved)).revision != before.revision


def test_model_that_is_nowhere_is_said_with_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("some-lab/tiny-instruct", str(tmp_path / "absent"), "absent"):
        with pytest.raises(EngineUnavailable, match="found neither; run hf download"):
            writer_weights(vllm(name))


def test_model_without_chat_template_is_said(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(template=None)
    with pytest.raises(EngineUnavailable, match=r"has no chat template; name an instruction"):
        writer_weights(vllm(folder))
    given = tmp_path / "template.jinja"
    given.write_text("{{ messages }}")
    revision = writer_weights(vllm(folder, chat_template=given)).revision
    given.write_text("{{ messages }}!")
    assert writer_weights(vllm(folder, chat_template=given)).revision != revision
    with pytest.raises(EngineUnavailable, match="expected a Jinja file"):
        writer_weights(vllm(folder, chat_template=tmp_path / "absent.jinja"))


def test_context_too_short_is_said(make_model: MakeModel) -> None:
    folder = make_model(context_tokens=512)
    with pytest.raises(EngineUnavailable, match=r"context of 512 tokens.*lower max_findings_tok"):
        writer_weights(vllm(folder))


def test_context_the_plan_shortens_too_far_is_said(make_model: MakeModel) -> None:
    folder = make_model()
    with pytest.raises(EngineUnavailable, match="context of 256 tokens"):
        writer_weights(vllm(folder, context_tokens=256))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_model_with_a_file_missing_is_said(make_model: MakeModel, missing: str) -> None:
    folder = make_model()
    (folder / missing).unlink()
    with pytest.raises(EngineUnavailable, match=r"expected a model.*; "):
        writer_weights(vllm(folder))
