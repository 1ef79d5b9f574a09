"""Every encoder loads a real checkpoint, small, and says in one line what it lacks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
from huggingface_hub import constants
from numpy.typing import NDArray

from models.encoders.seam import ImageEncoder
from models.encoders.shared import open_encoder
from models.engines import EngineConfig, engine_config
from storage.errors import EngineUnavailable
from tests.models.encoders.tiny_checkpoints import (
    OPEN_CLIP,
    save_dinov2,
    save_factory_run,
    save_open_clip,
)

Made = Callable[[Path], dict[str, object]]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _transformers(folder: Path) -> dict[str, object]:
    return {"kind": "transformers", "model": str(save_dinov2(folder))}


def _open_clip(folder: Path) -> dict[str, object]:
    return {"kind": "open_clip", "model": str(save_open_clip(folder))}


def _architecture(folder: Path) -> dict[str, object]:
    save_open_clip(folder)
    (folder / "tiny-test-clip.json").write_text(json.dumps(OPEN_CLIP))
    open_clip.add_model_config(folder / "tiny-test-clip.json")
    weights = str(folder / "open_clip_model.safetensors")
    return {"kind": "open_clip", "model": "tiny-test-clip", "checkpoint": weights}


def _factory(folder: Path) -> dict[str, object]:
    return {"kind": "factory", "checkpoint": str(save_factory_run(folder))}


def _handcrafted(_: Path) -> dict[str, object]:
    return {"kind": "handcrafted"}


ALL = [_handcrafted, _transformers, _open_clip, _architecture, _factory]
TWO_TOWERS = [_open_clip, _architecture, _factory]


def _images(count: int) -> list[NDArray[np.uint8]]:
    """Of three sizes; dark and noisy, bright and noisy, or flat."""
    random = np.random.default_rng(5)
    kinds = [((40, 40), 0, 120), ((64, 48), 140, 255), ((33, 70), 90, 100)]
    made = (kinds[n % 3] for n in range(count))
    return [random.integers(low, high, size).astype(np.uint8) for size, low, high in made]


@pytest.mark.parametrize("made", ALL)
def test_encoder_embeds_any_size_in_any_batch_alike(made: Made, tmp_path: Path) -> None:
    config = engine_config("encoders", made(tmp_path / "model"))
    encoder: ImageEncoder = config.open()
    images = _images(35)  # more than one batch
    together = encoder.embed(images)
    assert together.dtype == np.float32
    assert together.ndim == 2
    assert len(together) == 35
    alone = np.concatenate([encoder.embed([image]) for image in images[:3]])
    assert np.allclose(alone, together[:3], atol=1e-4)
    assert np.allclose(encoder.embed([images[0].astype(np.float32)]), together[:1], atol=1e-4)
    assert not np.allclose(together[0], together[1], atol=1e-3)
    assert encoder.embed([]).shape[0] == 0
    assert encoder.info.revision == config.revision()


@pytest.mark.parametrize("made", TWO_TOWERS)
def test_two_towers_share_one_space(made: Made, tmp_path: Path) -> None:
    encoder = engine_config("encoders", made(tmp_path / "model")).open()
    images, texts = encoder.embed(_images(2)), encoder.embed_texts(["effusion", "no effusion"])
    assert images.shape == texts.shape
    assert np.allclose(np.linalg.norm(np.concatenate([images, texts]), axis=1), 1, atol=1e-4)
    assert not np.allclose(texts[0], texts[1], atol=1e-4)


@pytest.mark.parametrize("made", [_transformers, _open_clip, _factory])
def test_revision_is_of_the_weights_not_of_the_place(made: Made, tmp_path: Path) -> None:
    settings = made(tmp_path / "one")
    moved = {
        key: str(value).replace("/one", "/two") if key != "kind" else value
        for key, value in settings.items()
    }
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first, second = (engine_config("encoders", s) for s in (settings, moved))
    assert first.revision() == second.revision()
    weights = next((tmp_path / "two").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert engine_config("encoders", moved).revision() != first.revision()


def test_hub_id_in_the_cache_is_pinned_to_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    cached = tmp_path / "hub" / "models--clinic--seer"
    save_dinov2(cached / "snapshots" / COMMIT)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    config = engine_config("encoders", {"kind": "transformers", "model": "clinic/seer"})
    assert config.revision() == COMMIT
    assert config.open().embed(_images(1)).shape == (1, 32)


@pytest.mark.parametrize("kind", ["transformers", "open_clip"])
def test_default_weights_missing_is_one_line_with_what_to_fetch(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(EngineUnavailable, match=r"fetch it with `hf download microsoft/\w+") as no:
        engine_config("encoders", {"kind": kind}).revision()
    assert "\n" not in str(no.value)


def _without(name: str) -> Callable[[Path], dict[str, object]]:
    def make(folder: Path) -> dict[str, object]:
        settings = _transformers(folder)
        (folder / name).unlink()
        return settings

    return make


def _cut_off(folder: Path) -> dict[str, object]:
    settings = _open_clip(folder)
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    return settings


def _one_layer_more(folder: Path) -> dict[str, object]:
    settings = _transformers(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    return settings


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (_without("config.json"), r"expected a vision model in .*, got no config\.json"),
        (_without("preprocessor_config.json"), r"got no preprocessor_config\.json; copy it"),
        (_without("model.safetensors"), r"must hold weights as safetensors, got none"),
        (_one_layer_more, r"must hold every weight of Dinov2Model, got none for encoder\.layer"),
        (_cut_off, r"must be a whole open_clip model whose weights fit it, got: "),
        (lambda _: {"kind": "open_clip", "model": "ViT-S-32", "checkpoint": "/no"}, "checkpoint"),
        (lambda _: {"kind": "factory", "checkpoint": "/no"}, "run `cxr-factory pretrain` first"),
        (lambda _: {"kind": "transformers", "model": "no such"}, "which is neither; correct"),
    ],
)
def test_incomplete_encoder_is_one_line(made: Made, line: str, tmp_path: Path) -> None:
    config: EngineConfig = engine_config("encoders", made(tmp_path / "model"))
    with pytest.raises(EngineUnavailable, match=line) as refused:
        config.revision()
        config.open()
    assert "\n" not in str(refused.value)


def test_same_encoder_is_loaded_once_and_changed_weights_anew(tmp_path: Path) -> None:
    settings = _transformers(tmp_path / "model")
    first, second = (open_encoder(engine_config("encoders", settings)) for _ in range(2))
    assert first is second
    save_dinov2(tmp_path / "model", seed=1)
    third = open_encoder(engine_config("encoders", settings))
    assert third is not first
    assert not np.allclose(first.embed(_images(1)), third.embed(_images(1)), atol=1e-3)
