"""A whole tiny run: what is saved, and that a cut-off run ends as an undisturbed one."""

import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file

from models.painters.finetuning.configs import (
    AutoencoderConfig,
    FinetuningConfig,
    FromPipeline,
    FromScratch,
    StageConfig,
)
from models.painters.finetuning.data import TrainingSet
from models.painters.finetuning.trainer import OnStep, finetune
from models.vlp.training_log import StepLog, read_log
from storage.errors import DamagedObject, FactoryError, PlanMismatch

PARTS = ("unet", "text_encoder", "vae")


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def weights(run_folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{part}/{name}": value
        for part in PARTS
        for file in (run_folder / "pipeline" / part).glob("*.safetensors")
        for name, value in load_file(file).items()
    }


def with_steps(config: FinetuningConfig, steps: int) -> FinetuningConfig:
    training = config.training.model_copy(update={"steps": steps})
    return config.model_copy(update={"training": training})


def killed_at(stage: str, step: int) -> OnStep:
    def stop(name: str, entry: StepLog) -> None:
        if (name, entry.step) == (stage, step):
            raise Killed

    return stop


def require_equal(first: Path, second: Path) -> None:
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for log in ("autoencoder.log.jsonl", "denoiser.log.jsonl"):
        losses = [[entry.loss for entry in read_log(run / log)] for run in (first, second)]
        assert losses[0] == losses[1]


@pytest.fixture(scope="module")
def whole(
    tiny_config: FinetuningConfig,
    training_set: TrainingSet,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    finetune(tiny_config, training_set, folder, {"corpus": "made"})
    return folder


def test_finetune_saves_a_pipeline_that_diffusers_loads_and_paints_with(whole: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(whole / "pipeline", local_files_only=True)
    assert isinstance(pipeline, StableDiffusionPipeline)
    painted = pipeline(
        "Lung mass. PA view.", num_inference_steps=2, generator=torch.Generator().manual_seed(1)
    ).images[0]
    assert painted.size == (32, 32)
    assert painted.mode == "L"
    assert not any(part.is_symlink() for part in (whole / "pipeline").rglob("*"))
    provenance = json.loads((whole / "pipeline/training.json").read_text())
    assert (provenance["corpus"], provenance["steps"]) == ("made", 8)


def test_finetune_logs_loss_and_speed_and_paints_contact_sheets(whole: Path) -> None:
    entries = read_log(whole / "denoiser.log.jsonl")
    assert [entry.step for entry in entries] == list(range(1, 9))
    assert all(entry.terms["images_per_second"] > 0 for entry in entries)
    sheets = sorted((whole / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == ["step-0000004.png", "step-0000008.png"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (4 * 32, 4 * 32)


@pytest.mark.parametrize(
    ("stage", "step"), [("autoencoder", 2), ("autoencoder", 6), ("denoiser", 1)]
)
def test_finetune_cut_off_ends_as_an_undisturbed_run(
    stage: str,
    step: int,
    tiny_config: FinetuningConfig,
    training_set: TrainingSet,
    whole: Path,
    tmp_path: Path,
) -> None:
    """Before the first checkpoint, after the autoencoder's last step, and right after that."""
    with pytest.raises(Killed):
        finetune(tiny_config, training_set, tmp_path, {"corpus": "made"}, killed_at(stage, step))
    finetune(tiny_config, training_set, tmp_path, {"corpus": "made"})
    require_equal(tmp_path, whole)


def test_finetune_made_longer_ends_as_a_run_that_was_long_from_the_start(
    tiny_config: FinetuningConfig, training_set: TrainingSet, whole: Path, tmp_path: Path
) -> None:
    finetune(with_steps(tiny_config, 5), training_set, tmp_path, {"corpus": "made"})
    result = finetune(tiny_config, training_set, tmp_path, {"corpus": "made"})
    assert (result.resumed_at, result.num_steps) == (5, 8)
    require_equal(tmp_path, whole)


def test_finetune_sigkilled_process_leaves_a_run_that_resumes(
    tiny_config: FinetuningConfig, training_set: TrainingSet, whole: Path, tmp_path: Path
) -> None:
    script = (
        "import os, pickle, signal, sys\n"
        "from pathlib import Path\n"
        "import torch\n"
        "from models.painters.finetuning.trainer import OnStep, finetune\n"
        "torch.set_num_threads(1)\n"
        "config, training_set = pickle.loads(Path(sys.argv[1]).read_bytes())\n"
        "def stop(name, entry):\n"
        "    if (name, entry.step) == ('denoiser', 5):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "finetune(config, training_set, Path(sys.argv[2]), {'corpus': 'made'}, stop)\n"
    )
    given, run = tmp_path / "given", tmp_path / "run"
    given.write_bytes(pickle.dumps((tiny_config, training_set)))
    child = subprocess.run(
        [sys.executable, "-c", script, str(given), str(run)],
        check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL
    result = finetune(tiny_config, training_set, run, {"corpus": "made"})
    assert result.resumed_at == 3
    require_equal(run, whole)


def test_finetune_in_the_folder_of_another_run_names_what_differs(
    tiny_config: FinetuningConfig, training_set: TrainingSet, whole: Path
) -> None:
    with pytest.raises(PlanMismatch, match=r"text_dropout 0.1 -> 0.2; name another run"):
        other = tiny_config.model_copy(update={"text_dropout": 0.2})
        finetune(other, training_set, whole, {})
    with pytest.raises(PlanMismatch, match=r"images .* -> other"):
        finetune(tiny_config, replace(training_set, sha256="other"), whole, {})


def test_finetune_over_a_damaged_state_says_which(
    tiny_config: FinetuningConfig, training_set: TrainingSet, tmp_path: Path
) -> None:
    (tmp_path / "autoencoder.training.safetensors").write_bytes(b"half")
    with pytest.raises(DamagedObject, match=r"autoencoder.training.safetensors must be a state"):
        finetune(tiny_config, training_set, tmp_path, {})


def test_finetune_diverging_stops_with_one_clear_line_and_no_pipeline(
    tiny_config: FinetuningConfig, training_set: TrainingSet, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "models.painters.finetuning.denoiser.DenoiserStage._weights",
            lambda _, steps: steps * float("nan"),
        )
        with pytest.raises(FactoryError, match="loss of the denoiser must stay finite, got nan"):
            finetune(tiny_config, training_set, tmp_path, {})
    assert not (tmp_path / "pipeline").exists()


def test_finetune_from_a_pipeline_trains_on_its_unet_and_keeps_its_autoencoder(
    tiny_config: FinetuningConfig, training_set: TrainingSet, whole: Path, tmp_path: Path
) -> None:
    start = FromPipeline(folder=str(whole / "pipeline"))
    config = tiny_config.model_copy(update={"start": start})
    finetune(config, training_set, tmp_path, {})
    ours, theirs = weights(tmp_path), weights(whole)
    for part, is_trained in (("unet", True), ("text_encoder", True), ("vae", False)):
        names = [name for name in theirs if name.startswith(part)]
        assert names
        assert any(not torch.equal(ours[n], theirs[n]) for n in names) is is_trained, part


def test_finetune_from_a_folder_that_is_no_pipeline_says_so(
    tiny_config: FinetuningConfig, training_set: TrainingSet, tmp_path: Path
) -> None:
    config = tiny_config.model_copy(update={"start": FromPipeline(folder=str(tmp_path))})
    with pytest.raises(ValueError, match=r"must hold a pipeline \(model_index.json\), got "):
        finetune(config, training_set, tmp_path / "run", {})


def test_finetune_learns_to_paint_what_it_saw(
    tiny_config: FinetuningConfig, training_set: TrainingSet, tmp_path: Path
) -> None:
    """One half bright, the other dark: latents, noise schedule, average and sampler agree."""
    autoencoder = AutoencoderConfig(
        widths=(16, 16), training=StageConfig(steps=60, batch_size=4, learning_rate=3e-3)
    )
    assert isinstance(tiny_config.start, FromScratch)
    config = tiny_config.model_copy(
        update={
            "start": tiny_config.start.model_copy(update={"autoencoder": autoencoder}),
            "training": StageConfig(steps=120, batch_size=8, learning_rate=4e-3, warmup_steps=2),
            "sample_every_steps": 1000,
        }
    )
    result = finetune(config, training_set, tmp_path, {})
    pipeline = DiffusionPipeline.from_pretrained(result.pipeline_folder, local_files_only=True)
    painted = pipeline(
        [""] * 8, num_inference_steps=10, guidance_scale=1.0,
        generator=torch.Generator().manual_seed(1),
    ).images  # fmt: skip
    halves = [
        np.asarray(image, np.float64).reshape(32, 2, 16).mean(axis=(0, 2)) for image in painted
    ]
    assert np.median([abs(left - right) for left, right in halves]) > 40
