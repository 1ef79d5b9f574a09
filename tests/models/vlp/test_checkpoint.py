from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.vlp.checkpoint import (
    Checkpoint,
    TrainingProvenance,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from models.vlp.configs import PretrainingConfig
from models.vlp.model import VisionLanguageModel
from models.vlp.tokenizer import WordTokenizer
from storage.errors import DamagedObject

PROVENANCE = TrainingProvenance('{"name": "demo"}', "demo", "1", "0.1.0")


def checkpoint(config: PretrainingConfig) -> Checkpoint:
    tokenizer = WordTokenizer.train(["no effusion", "large heart"], 10, 1)
    model = VisionLanguageModel(config, tokenizer)
    return Checkpoint(3, 12, config, tokenizer, PROVENANCE, model.state_dict())


def test_checkpoint_round_trip_keeps_everything(
    tmp_path: Path, tiny_config: PretrainingConfig
) -> None:
    saved = checkpoint(tiny_config)
    save_checkpoint(saved, tmp_path / "model.safetensors")
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert (loaded.step, loaded.num_steps) == (3, 12)
    assert loaded.config == tiny_config
    assert type(loaded.config.objective) is type(tiny_config.objective)
    assert loaded.provenance == PROVENANCE
    assert loaded.tokenizer.vocabulary == saved.tokenizer.vocabulary
    assert loaded.model.keys() == saved.model.keys()
    assert all(torch.equal(loaded.model[name], saved.model[name]) for name in saved.model)


def test_load_model_encodes_as_the_model_that_was_saved(
    tmp_path: Path, tiny_config: PretrainingConfig
) -> None:
    saved = checkpoint(tiny_config)
    save_checkpoint(saved, tmp_path / "model.safetensors")
    original = VisionLanguageModel(tiny_config, saved.tokenizer)
    original.load_state_dict(dict(saved.model))
    texts = ["no effusion", "heart"]
    assert (
        load_model(tmp_path / "model.safetensors").encode_texts(texts)
        == original.encode_texts(texts)
    ).all()


def test_load_model_leaves_the_callers_random_state_alone(
    tmp_path: Path, tiny_config: PretrainingConfig
) -> None:
    save_checkpoint(checkpoint(tiny_config), tmp_path / "model.safetensors")
    before = torch.get_rng_state()
    load_model(tmp_path / "model.safetensors")
    assert torch.equal(before, torch.get_rng_state())


def test_save_checkpoint_that_fails_keeps_the_old_one(
    tmp_path: Path, tiny_config: PretrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    saved = checkpoint(tiny_config)
    save_checkpoint(saved, path)
    before = path.read_bytes()

    def full_disk(tensors: object, target: Path, metadata: object) -> None:
        target.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("models.vlp.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(saved, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("keep", [0, 7, 500, -1])
def test_load_checkpoint_cut_short_is_one_clear_line(
    tmp_path: Path, tiny_config: PretrainingConfig, keep: int
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(checkpoint(tiny_config), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DamagedObject, match=r"must be a checkpoint of format .*got: ") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_load_checkpoint_of_something_else_says_so(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(DamagedObject, match="format None"):
        load_checkpoint(tmp_path / "other.safetensors")


def test_load_checkpoint_missing_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cxr-factory pretrain"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_load_model_with_weights_of_another_config_is_one_clear_line(
    tmp_path: Path, tiny_config: PretrainingConfig
) -> None:
    saved = checkpoint(tiny_config)
    weights = {k: v for k, v in saved.model.items() if not k.startswith("objective")}
    broken = Checkpoint(3, 12, tiny_config, saved.tokenizer, PROVENANCE, weights)
    save_checkpoint(broken, tmp_path / "model.safetensors")
    with pytest.raises(DamagedObject, match="must hold the weights its config describes") as caught:
        load_model(tmp_path / "model.safetensors")
    assert "\n" not in str(caught.value)
