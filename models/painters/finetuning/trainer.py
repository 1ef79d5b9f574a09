"""From a corpus's training images to a pipeline folder that diffusers loads; resumable.

Knows nothing of where runs are kept: it writes to a local folder.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models.devices import device_named, precision_named
from models.painters.finetuning.autoencoder import AutoencoderStage, encode_views, whiten
from models.painters.finetuning.configs import FinetuningConfig, FromScratch
from models.painters.finetuning.data import TrainingSet
from models.painters.finetuning.denoiser import DenoiserStage
from models.painters.finetuning.networks import Networks, open_networks, start_hash
from models.painters.finetuning.output import save_pipeline, save_sheet
from models.painters.finetuning.stage import StageRun
from models.vlp.schedule import Purpose, torch_seed
from models.vlp.training_log import StepLog, read_log

PIPELINE_FOLDER, SAMPLES_FOLDER = "pipeline", "samples"

# Where and how often; the rest of the config is what is computed.
_WHERE_AND_HOW_OFTEN = (
    "device",
    "memory_limit_mib",
    "checkpoint_every_steps",
    "sample_every_steps",
)

OnStep = Callable[[str, StepLog], None]


@dataclass(frozen=True, slots=True)
class PainterResult:
    """A finished run.

    Attributes:
        pipeline_folder: What `DiffusionPipeline.from_pretrained` loads.
        num_steps: Optimiser steps of the denoiser.
        loss: Of the denoiser, mean over the last tenth of the steps, dimensionless.
        seconds: Training time of the denoiser, all sittings together.
        resumed_at: Step of the denoiser this sitting began after; 0 for a fresh run.
        num_images: Real images learnt from.
        num_patients: Their patients.
    """

    pipeline_folder: Path
    num_steps: int
    loss: float
    seconds: float
    resumed_at: int
    num_images: int
    num_patients: int


def finetune(
    config: FinetuningConfig,
    training_set: TrainingSet,
    run_folder: Path,
    provenance: dict[str, Any],
    on_step: OnStep | None = None,
) -> PainterResult:
    """Train a painter, or go on where a run was cut off. More `training.steps` make it go further.

    Args:
        config: Networks, views and training.
        training_set: Images of training patients.
        run_folder: Local folder for logs, states, contact sheets and the pipeline.
        provenance: JSON values written beside the pipeline's weights.
        on_step: Called after every step with the stage's name.

    Raises:
        ValueError: If the pipeline to start from is none.
        PlanMismatch: If the folder holds a run of another config or other images.
        FactoryError: If a loss stops being finite.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    device = device_named(config.device)
    content = _content(config, training_set)
    networks = open_networks(config, training_set.subjects)
    networks.autoencoder.to(device)
    latents = _train_autoencoder(config, networks, training_set, run_folder, content, on_step)

    networks.unet.to(device).requires_grad_(True)
    networks.text_encoder.to(device).requires_grad_(True)
    precision = precision_named(config.precision, device)
    stage = DenoiserStage(networks, config, latents, training_set.subjects, precision)
    run = StageRun(stage, run_folder, content, config.checkpoint_every_steps)

    def after_step(step: int) -> None:
        if step % config.sample_every_steps == 0:
            with run.averaged():
                sheet = run_folder / SAMPLES_FOLDER / f"step-{step:07d}.png"
                save_sheet(networks, training_set.subjects, sheet, config.seed)

    run.train(_named(stage.name, on_step), after_step)
    folder = run_folder / PIPELINE_FOLDER
    save_pipeline(networks, folder, provenance | {"content": content, "steps": run.step})
    return _result(folder, run, training_set)


def _train_autoencoder(
    config: FinetuningConfig,
    networks: Networks,
    training_set: TrainingSet,
    folder: Path,
    content: dict[str, str],
    on_step: OnStep | None,
) -> Tensor:
    """The latents of the training images, (V, N, C, h, h), by an autoencoder that ends frozen.

    That of a start from scratch is trained; that of a pipeline stays as it is.
    """
    module, images_N1SS = networks.autoencoder, training_set.images_N1SS
    if isinstance(config.start, FromScratch):
        settings, seed = config.start.autoencoder, torch_seed(config.seed, Purpose.WEIGHTS, 1)
        module.requires_grad_(True)
        stage = AutoencoderStage(module, settings, images_N1SS, config.augmentation, seed)
        run = StageRun(stage, folder, content, config.checkpoint_every_steps)
        run.train(_named(stage.name, on_step))
    module.requires_grad_(False).eval()
    seed = torch_seed(config.seed, Purpose.WEIGHTS, 2)
    latents = encode_views(module, images_N1SS, config.augmentation, config.views_per_image, seed)
    return whiten(module, latents) if isinstance(config.start, FromScratch) else latents


def _content(config: FinetuningConfig, training_set: TrainingSet) -> dict[str, str]:
    """What the weights at a step depend on; not how far training goes, nor where it runs."""
    where = dict.fromkeys(_WHERE_AND_HOW_OFTEN, True)
    settings = config.model_dump(mode="json", exclude=where | {"training": {"steps"}})
    flat = {name: json.dumps(value) for name, value in settings.items()}
    return flat | {"images": training_set.sha256, "start_sha256": start_hash(config)}


def _named(stage: str, on_step: OnStep | None) -> Callable[[StepLog], None] | None:
    return (lambda entry: on_step(stage, entry)) if on_step else None


def _result(folder: Path, run: StageRun, training_set: TrainingSet) -> PainterResult:
    entries = read_log(run.log_path)
    tail = [entry.loss for entry in entries[-max(1, run.step // 10) :]]
    return PainterResult(
        pipeline_folder=folder,
        num_steps=run.step,
        loss=sum(tail) / len(tail),
        seconds=entries[-1].seconds,
        resumed_at=run.resumed_at,
        num_images=len(training_set),
        num_patients=len(set(training_set.patient_ids)),
    )
