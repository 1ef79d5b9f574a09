"""The networks of a painter, all of them diffusers' and transformers' own classes.

They are `Any` to the type checker: diffusers' classes carry half their types.

Shape suffixes: B batch, C latent channels, h latent side, S image side, L tokens, D text width.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from models.painters.finetuning.captions import Subject
from models.painters.finetuning.configs import FinetuningConfig, FromPipeline, FromScratch
from models.painters.finetuning.words import build_tokenizer
from models.places import local_path
from models.vlp.schedule import Purpose, numpy_random, torch_seed

NUM_TIMESTEPS = 1000
NUM_GROUPS = 16  # of group normalisation; every width is a multiple of it


@dataclass
class Networks:
    """What a Stable Diffusion pipeline is made of.

    Attributes:
        tokenizer: Text to ids.
        text_encoder: `CLIPTextModel`, ids to hidden states, (B, L) to (B, L, D).
        autoencoder: `AutoencoderKL`, pixels to latents and back.
        unet: `UNet2DConditionModel`, predicts velocity or noise in the latent space.
        scheduler: What the saved pipeline samples with.
    """

    tokenizer: Any
    text_encoder: Any
    autoencoder: Any
    unet: Any
    scheduler: Any

    def pipeline(self) -> Any:
        """The networks as an ordinary pipeline; weights are shared, not copied."""
        return StableDiffusionPipeline(  # type: ignore[no-untyped-call]
            vae=self.autoencoder,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=self.scheduler,
            safety_checker=None,  # it was trained on photographs
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def noise_schedule(self) -> Any:
        """The schedule to train with: that of the sampler."""
        return DDPMScheduler.from_config(self.scheduler.config)  # type: ignore[no-untyped-call]

    def token_ids(self, texts: Sequence[str]) -> Tensor:
        """Ids padded to the encoder's window, (B, L), as the pipeline makes them."""
        tokenizer = self.tokenizer
        encoded = tokenizer(
            list(texts),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        ids: Tensor = encoded.input_ids
        return ids


def open_networks(config: FinetuningConfig, subjects: Sequence[Subject]) -> Networks:
    """The networks training begins with, on the CPU.

    Raises:
        ValueError: If the folder to start from holds no Stable Diffusion pipeline.
    """
    if isinstance(config.start, FromPipeline):
        return _loaded(config.start, config.image_size_px)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(config.seed, Purpose.WEIGHTS, 0))
        return _built(config, config.start, subjects)


def start_hash(config: FinetuningConfig) -> str:
    """SHA-256 of the weights training begins with; "" where they follow from the seed."""
    if not isinstance(config.start, FromPipeline):
        return ""
    digest = hashlib.sha256()
    for path in sorted(local_path(config.start.folder).rglob("*.safetensors")):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _loaded(start: FromPipeline, image_size_px: int) -> Networks:
    folder = local_path(start.folder)
    if not (folder / "model_index.json").is_file():
        raise ValueError(
            f"start.folder must hold a pipeline (model_index.json), got {start.folder!r}; "
            "name the folder of a Stable Diffusion pipeline, or start from scratch"
        )
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
            str(folder), dtype=torch.float32, safety_checker=None, local_files_only=True
        )
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"start.folder {start.folder!r} must load as a Stable Diffusion pipeline, got: "
            f"{str(error).splitlines()[0]}; download it whole, or name another"
        ) from error
    # what the pipeline paints when it is not told a size
    pipeline.unet.register_to_config(sample_size=image_size_px // pipeline.vae_scale_factor)
    return Networks(
        pipeline.tokenizer,
        pipeline.text_encoder,
        pipeline.vae,
        pipeline.unet,
        pipeline.scheduler,
    )


def _built(config: FinetuningConfig, start: FromScratch, subjects: Sequence[Subject]) -> Networks:
    text, side = start.text_encoder, config.image_size_px // start.autoencoder.downscale
    random = numpy_random(config.seed, Purpose.TEXT, 0)
    tokenizer = build_tokenizer(subjects, text.max_tokens, random)
    return Networks(
        tokenizer,
        _text_encoder(start, tokenizer),
        _autoencoder(start, config.image_size_px),
        _unet(start, side),
        DPMSolverMultistepScheduler(  # type: ignore[no-untyped-call]
            num_train_timesteps=NUM_TIMESTEPS,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="v_prediction",
            steps_offset=1,
        ),
    )


def _text_encoder(start: FromScratch, tokenizer: PreTrainedTokenizerFast) -> CLIPTextModel:
    text = start.text_encoder
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=text.width,
        intermediate_size=4 * text.width,
        num_hidden_layers=text.num_layers,
        num_attention_heads=text.num_heads,
        max_position_embeddings=text.max_tokens,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return CLIPTextModel(config)


def _autoencoder(start: FromScratch, image_size_px: int) -> Any:
    widths = start.autoencoder.widths
    return AutoencoderKL(  # type: ignore[no-untyped-call]
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=start.autoencoder.latent_channels,
        norm_num_groups=NUM_GROUPS,
        sample_size=image_size_px,
        scaling_factor=1.0,  # latents are made unit variance after training
    )


def _unet(start: FromScratch, latent_side: int) -> Any:
    widths, channels = start.denoiser.widths, start.autoencoder.latent_channels
    attended = len(widths) - 1
    return UNet2DConditionModel(  # type: ignore[no-untyped-call]
        sample_size=latent_side,
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * attended,
        up_block_types=("CrossAttnUpBlock2D",) * attended + ("UpBlock2D",),
        block_out_channels=widths,
        layers_per_block=start.denoiser.layers_per_block,
        attention_head_dim=start.denoiser.num_heads,  # diffusers' name for the number of heads
        cross_attention_dim=start.text_encoder.width,
        norm_num_groups=NUM_GROUPS,
    )
