"""Checkpoints: one safetensors file, tensors and a JSON header. Nothing in it can run code.

`training.safetensors` holds the optimiser too, to resume from; `model.safetensors` is the result.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.vlp.configs import PretrainingConfig
from models.vlp.model import VisionLanguageModel
from models.vlp.text_tokenizers import TextTokenizer, tokenizer_from_json
from storage.errors import DamagedObject

FORMAT = "cxr-factory vision-language model 1"
MODEL_FILE = "model.safetensors"
TRAINING_FILE = "training.safetensors"
_MODEL, _OPTIMISER, _AVERAGED, _STOPPING = "model/", "optimiser/", "averaged/", "stopping/"


@dataclass(frozen=True, slots=True)
class TrainingProvenance:
    """What a model was trained for and on; stored in every checkpoint.

    Attributes:
        plan: The pre-training plan as JSON.
        dataset: Name of the dataset; empty where several sources were mixed.
        release: Id of the release read; of a mixture, what its sources are called.
        code_version: Version of this package.
        choice: What of the release was taken, by which rule, reviews and slice, as JSON; empty
            where all of it was.
        sources: Of a mixture: every source with its version, number of pairs, phases and weights,
            as a JSON list; empty where one release was read.
    """

    plan: str
    dataset: str
    release: str
    code_version: str
    choice: str = ""
    sources: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """One state of training.

    Attributes:
        step: Optimiser steps done.
        num_steps: Steps planned.
        config: Of model and training; its `training.seed` is the seed.
        tokenizer: Of the text tower.
        provenance: Plan and release.
        model: Weights and buffers by name.
        optimiser: AdamW's tensors by "<parameter>/<name>"; empty in a finished model.
        text_architecture: Of a Hugging Face text tower, as JSON; empty for another.
        averaged: Averaged weights by name, while training; empty where none are.
        stopping: Of early stopping, while training; empty where there is none.
    """

    step: int
    num_steps: int
    config: PretrainingConfig
    tokenizer: TextTokenizer
    provenance: TrainingProvenance
    model: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor] = field(default_factory=dict)
    text_architecture: str = ""
    averaged: Mapping[str, Tensor] = field(default_factory=dict)
    stopping: Mapping[str, Tensor] = field(default_factory=dict)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint so that `path` holds the old or the new one, never half of one."""
    tensors = {_MODEL + name: value for name, value in checkpoint.model.items()}
    tensors |= {_OPTIMISER + name: value for name, value in checkpoint.optimiser.items()}
    tensors |= {_AVERAGED + name: value for name, value in checkpoint.averaged.items()}
    tensors |= {_STOPPING + name: value for name, value in checkpoint.stopping.items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header = {
        "format": FORMAT,
        "step": str(checkpoint.step),
        "num_steps": str(checkpoint.num_steps),
        "config": checkpoint.config.model_dump_json(),
        "tokenizer": checkpoint.tokenizer.to_json(),
        "provenance": json.dumps(asdict(checkpoint.provenance)),
        "text_architecture": checkpoint.text_architecture,
    }
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, partial, metadata=header)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Delete what processes that were killed amid `save_checkpoint` left; each is a whole model.

    Args:
        folder: Of a run that no other process is writing.
    """
    for left in folder.glob("*.safetensors.*.partial"):
        left.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, tensors on the CPU.

    Raises:
        FileNotFoundError: If there is none.
        DamagedObject: If the file is cut short, of another kind or of another version.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"a checkpoint must be at {path}, got no file; run `cxr-factory pretrain` first"
        )
    try:
        header, tensors = _read(path)
        return Checkpoint(
            step=int(header["step"]),
            num_steps=int(header["num_steps"]),
            config=PretrainingConfig.model_validate_json(header["config"]),
            tokenizer=tokenizer_from_json(header["tokenizer"]),
            provenance=TrainingProvenance(**json.loads(header["provenance"])),
            model=_under(_MODEL, tensors),
            optimiser=_under(_OPTIMISER, tensors),
            averaged=_under(_AVERAGED, tensors),
            stopping=_under(_STOPPING, tensors),
            text_architecture=header.get("text_architecture", ""),  # none before there was a choice
        )
    except (SafetensorError, ValidationError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise DamagedObject(
            f"{path} must be a checkpoint of format {FORMAT!r}, got: {reason}; "
            "delete it and run `cxr-factory pretrain` again"
        ) from error


def load_model(path: Path, device: str = "cpu") -> VisionLanguageModel:
    """The model of a checkpoint, ready to encode.

    Raises:
        FileNotFoundError: If there is none.
        DamagedObject: If the file is no checkpoint or its weights do not fit its config.
    """
    return restore_model(load_checkpoint(path), path).to(torch.device(device)).eval()


def restore_model(checkpoint: Checkpoint, path: Path) -> VisionLanguageModel:
    """Build the model that a checkpoint describes; `path` is named in errors."""
    config = _without_downloads(checkpoint.config)
    with torch.random.fork_rng(devices=[]):
        model = VisionLanguageModel(config, checkpoint.tokenizer, checkpoint.text_architecture)
    try:
        model.load_state_dict(dict(checkpoint.model))
    except RuntimeError as error:
        raise DamagedObject(
            f"{path} must hold the weights its config describes, got: "
            f"{str(error).splitlines()[1].strip()}; delete it and train again"
        ) from error
    return model


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        if header.get("format") != FORMAT:
            raise ValueError(f"format {header.get('format')!r}")
        return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _without_downloads(config: PretrainingConfig) -> PretrainingConfig:
    """The same architecture without its starting weights: the checkpoint brings its own."""
    tower = config.image_tower.model_copy(update={"pretrained_tag": None})
    return config.model_copy(update={"image_tower": tower})


def optimiser_tensors(
    model: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """An optimiser's state by parameter name, tensors only."""
    state: dict[str, Any] = {}
    for name, parameter in model.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            state[f"{name}/{key}"] = torch.as_tensor(value)
    return state


def restore_optimiser(
    model: torch.nn.Module, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Inverse of `optimiser_tensors`: put each tensor beside its parameter."""
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        parameter_name, _, key = name.rpartition("/")
        parameter = parameters[parameter_name]
        like = torch.zeros((), device=parameter.device) if key == "step" else parameter.detach()
        # the parameter's own memory layout: the fused update walks both as one flat array
        optimiser.state[parameter][key] = torch.empty_like(like, dtype=value.dtype).copy_(value)
