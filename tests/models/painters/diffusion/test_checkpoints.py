"""A checkpoint is found, checked and hashed before a weight is loaded."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file

from models.engines import engine_config
from models.painters.diffusion.checkpoints import read_checkpoint
from models.painters.diffusion.config import DiffusersConfig
from storage.errors import EngineUnavailable

UNET = Path("unet/diffusion_pytorch_model.safetensors")


@pytest.fixture
def folder(saved_pipeline: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_pipeline, tmp_path / "mine"))


def _index(folder: Path, **changes: object) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _cut_off(folder: Path) -> None:
    path = folder / UNET
    path.write_bytes(path.read_bytes()[:-100])


def _pointer(folder: Path) -> None:
    (folder / UNET).write_text("version https://git-lfs.github.com/spec/v1\nsize 123\n")


def _pickled(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet/diffusion_pytorch_model.bin")


def _lost_shard(folder: Path) -> None:
    name = "diffusion_pytorch_model-00002-of-00002.safetensors"
    listing = folder / "unet/diffusion_pytorch_model.safetensors.index.json"
    listing.write_text(json.dumps({"weight_map": {"conv_in.weight": UNET.name, "b": name}}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "model_index.json").unlink(), "which has no model_index.json"),
        (lambda folder: (folder / "model_index.json").write_text("{"), "must be JSON"),
        (lambda folder: shutil.rmtree(folder / "vae"), "no folder vae"),
        (lambda folder: _index(folder, tokenizer=[None, None]), "got StableDiffusionPipeline with"),
        (lambda folder: _index(folder, _class_name=["mine", "Mine"]), "code of their own"),
        (_cut_off, "copy it again"),
        (_pointer, "none or cut off"),
        (_pickled, "got diffusion_pytorch_model.bin"),
        (_lost_shard, "without diffusion_pytorch_model-00002-of-00002.safetensors"),
    ],
)
def test_checkpoint_damaged_folder_is_one_clear_line(
    folder: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(folder)
    with pytest.raises(EngineUnavailable, match=said) as refused:
        DiffusersConfig(model=str(folder)).revision()
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)


def test_checkpoint_neither_folder_nor_hub_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="which is neither; correct the path"):
        DiffusersConfig(model=str(tmp_path / "absent")).revision()


def test_checkpoint_hub_revision_of_a_folder_is_refused(folder: Path) -> None:
    with pytest.raises(EngineUnavailable, match="hub_revision is for hub ids"):
        DiffusersConfig(model=str(folder), hub_revision="main").revision()


def test_checkpoint_revision_is_of_what_is_loaded(folder: Path, tmp_path: Path) -> None:
    config = DiffusersConfig(model=str(folder))
    before = config.revision()
    (folder / "README.md").write_text("of no account")
    (folder / "training.safetensors").write_bytes(b"nor is this")
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert config.revision() == DiffusersConfig(model=str(copy)).revision() == before
    weights = bytearray((folder / UNET).read_bytes())
    weights[-1] ^= 1
    (folder / UNET).write_bytes(weights)
    os.utime(folder / UNET, ns=(1, 1))
    changed = config.revision()
    assert changed != before
    (folder / "scheduler/scheduler_config.json").write_text('{"_class_name": "DDIMScheduler"}')
    assert config.revision() not in (before, changed)


def test_checkpoint_weights_are_hashed_once_a_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DiffusersConfig(model=str(folder))
    before = config.revision()
    monkeypatch.setattr("hashlib.file_digest", None)
    assert config.revision() == before


def test_checkpoint_revision_loads_no_heavy_library(folder: Path) -> None:
    code = (
        "import sys; from models.painters.diffusion.config import DiffusersConfig\n"
        f"DiffusersConfig(model={str(folder)!r}).revision()\n"
        "print({'torch', 'diffusers', 'transformers', 'huggingface_hub'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_checkpoint_safety_checker_is_no_part_of_it(folder: Path) -> None:
    before = read_checkpoint(folder).components
    _index(folder, safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    assert read_checkpoint(folder).components == before


def test_config_unknown_scheduler_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"class name: DDIMScheduler, .*checkpoint's own"):
        engine_config("painters", {"kind": "diffusers", "model": "a", "scheduler": "Euler"})


def test_config_scheduler_of_another_family_is_refused(folder: Path) -> None:
    config = DiffusersConfig(model=str(folder), scheduler="FlowMatchEulerDiscreteScheduler")
    with pytest.raises(EngineUnavailable, match="same family as DDIMScheduler"):
        config.revision()


def test_config_negative_prompt_without_guidance_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"guidance_scale above 1, got 1\.0"):
        DiffusersConfig(model="a", negative_prompt="text", guidance_scale=1.0)


def test_tiny_pipeline_is_stored_as_safetensors(saved_pipeline: Path) -> None:
    assert "conv_in.weight" in load_file(saved_pipeline / UNET)
