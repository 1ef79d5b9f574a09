"""Operations of making a dataset: an image painted, a token written.

Architectures come from configuration files alone; no weights need be there.
"""

from pathlib import Path
from typing import Any

import torch

from models.hub_models import find_model, hub_out_of_reach, read_json
from models.painters.diffusion.checkpoints import INDEX, OWN
from models.painters.diffusion.config import DiffusersConfig
from models.studies.operations import forward_operations, without_values
from models.writers.language_model.configs import VllmConfig
from storage.errors import EngineUnavailable

_UNET, _AUTOENCODER = "UNet2DConditionModel", "AutoencoderKL"


def painting_operations(config: DiffusersConfig) -> int:
    """FLOP of one image: the denoiser at every step, twice with guidance, then the decoder.

    The text encoder, which reads a prompt once, is left out.

    Raises:
        EngineUnavailable: If the pipeline's configuration files are absent, or are of another
            denoiser or decoder than those of Stable Diffusion 1 and 2.
    """
    folder = _pipeline_folder(config)
    with without_values():
        unet, decoder = _component(folder, "unet", _UNET), _component(folder, "vae", _AUTOENCODER)
        shrunk = 2 ** (len(decoder.config.block_out_channels) - 1)
        side = (config.image_size_px or unet.config.sample_size * shrunk) // shrunk
        num_copies = 2 if (config.guidance_scale or 0) > 1 else 1
        latents = torch.empty(num_copies, unet.config.in_channels, side, side)
        text = torch.empty(num_copies, _num_text_tokens(folder), unet.config.cross_attention_dim)
        denoising = forward_operations(lambda: unet(latents, 1, encoder_hidden_states=text))
        decoding = forward_operations(lambda: decoder.decode(latents[:1]))
    return _num_denoisings(folder, config) * denoising + decoding


def writing_operations(config: VllmConfig, num_tokens: int) -> int:
    """FLOP of a text of so many tokens, each of which attends to those before it.

    Attention is counted as if every token attended to all.

    Raises:
        EngineUnavailable: If the model's configuration is absent, or needs code of its own.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = find_model(
        config.model, config.model_revision, "config.json", "a language model"
    ).folder
    try:
        with hub_out_of_reach(), without_values():
            found = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            model = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                found, trust_remote_code=False
            ).eval()
            ids_1L = torch.zeros(1, num_tokens, dtype=torch.int64)
            return forward_operations(lambda: model(input_ids=ids_1L, use_cache=False))
    except Exception as error:
        raise EngineUnavailable(
            f"{folder} must hold the configuration of a language model of transformers, got: "
            f"{_one_line(error)}; name another"
        ) from error


def _pipeline_folder(config: DiffusersConfig) -> Path:
    if config.model.startswith(OWN):
        return config.checkpoint().folder
    return find_model(config.model, config.hub_revision, INDEX, "a diffusers pipeline").folder


def _component(folder: Path, name: str, expected: str) -> Any:
    """A part of a pipeline without its weights."""
    import diffusers

    settings = read_json(folder / name / "config.json")
    if (kind := settings.get("_class_name")) != expected:
        raise EngineUnavailable(
            f"operations are counted of a {expected} as {name}, got {kind!r} in {folder}; "
            "time an image of it instead"
        )
    return getattr(diffusers, expected).from_config(settings).eval()


def _num_text_tokens(folder: Path) -> int:
    settings = read_json(folder / "text_encoder" / "config.json")
    return int(settings["max_position_embeddings"])


def _num_denoisings(folder: Path, config: DiffusersConfig) -> int:
    """How often the solver asks the denoiser; some ask more than once a step."""
    import diffusers

    settings = read_json(folder / "scheduler" / "scheduler_config.json")
    solver = getattr(diffusers, config.scheduler or settings["_class_name"]).from_config(settings)
    solver.set_timesteps(config.num_steps)
    return len(solver.timesteps)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
