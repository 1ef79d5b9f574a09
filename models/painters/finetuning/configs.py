"""What a user may set about training a text-to-image painter. Light: imports no torch."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.vlp.configs import AugmentationConfig

_FORM = ConfigDict(extra="forbid", frozen=True)

# The finest width has no cross attention, so two are the fewest a text can reach.
Widths = Annotated[tuple[Annotated[int, Field(ge=16, le=2048, multiple_of=16)], ...],
                   Field(min_length=2, max_length=6)]  # fmt: skip


class StageConfig(BaseModel):
    """How long and how fast one network is trained.

    The rate is constant after its warm-up, and the running average of the weights is what is kept:
    a run may be made longer at any time, and is none the worse for having been shorter.
    """

    model_config = _FORM

    steps: int = Field(ge=1, le=10_000_000, description="Optimiser steps; raise it to train on")
    batch_size: int = Field(8, ge=1, le=4096, description="Images per step")
    learning_rate: float = Field(gt=0, le=1, description="Of AdamW, after the warm-up")
    warmup_steps: int = Field(
        100, ge=0, le=100_000, description="Steps in which the rate rises to its value"
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="Of AdamW, matrices and kernels")
    max_gradient_norm: float = Field(1.0, gt=0, le=1000, description="Gradients are clipped to it")
    average_decay: float = Field(
        0.998, ge=0, lt=1, description="Of the running average of the weights, per step"
    )


class AutoencoderConfig(BaseModel):
    """The autoencoder between pixels and latents; every width but the last halves the side."""

    model_config = _FORM

    widths: Widths = Field((16, 32, 64), description="Channels from the finest level down")
    latent_channels: int = Field(4, ge=1, le=64, description="Channels of a latent")
    kl_weight: float = Field(
        1e-6, ge=0, le=1, description="Of the Kullback-Leibler term, as in latent diffusion"
    )
    training: StageConfig = Field(
        StageConfig(steps=1500, learning_rate=1e-3), description="Length and rate"
    )

    @property
    def downscale(self) -> int:
        """Side of the image over side of the latent."""
        return int(2 ** (len(self.widths) - 1))


class TextEncoderConfig(BaseModel):
    """A small CLIP text transformer, trained with the denoiser; its words are the corpus's own."""

    model_config = _FORM

    width: int = Field(128, ge=16, le=2048, multiple_of=8, description="Embedding width")
    num_layers: int = Field(2, ge=1, le=24, description="Transformer layers")
    num_heads: int = Field(4, ge=1, le=32, description="Attention heads; must divide the width")
    max_tokens: int = Field(64, ge=8, le=512, description="Longer prompts are cut here, tokens")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "TextEncoderConfig":
        if self.width % self.num_heads:
            raise ValueError(
                f"num_heads must divide width {self.width}, got {self.num_heads}; try 1, 2 or 4"
            )
        return self


class DenoiserConfig(BaseModel):
    """The conditional U-Net in the latent space."""

    model_config = _FORM

    widths: Widths = Field((96, 128, 128), description="Channels from the finest level down")
    layers_per_block: int = Field(1, ge=1, le=4, description="Residual blocks a level")
    num_heads: int = Field(4, ge=1, le=32, description="Attention heads; must divide the widths")

    @model_validator(mode="after")
    def _heads_divide_widths(self) -> "DenoiserConfig":
        if any(width % self.num_heads for width in self.widths):
            raise ValueError(
                f"num_heads must divide every width of {self.widths}, got {self.num_heads}; "
                "try 1, 2 or 4"
            )
        return self


class FromScratch(BaseModel):
    """New networks, of random weights that follow from the seed."""

    model_config = _FORM

    kind: Literal["scratch"] = "scratch"
    autoencoder: AutoencoderConfig = Field(AutoencoderConfig(), description="Pixels to latents")
    text_encoder: TextEncoderConfig = Field(TextEncoderConfig(), description="Reads the prompt")
    denoiser: DenoiserConfig = Field(DenoiserConfig(), description="The U-Net")


class FromPipeline(BaseModel):
    """A Stable Diffusion pipeline of one's own (RoentGen, SD 1.x).

    Its autoencoder is kept as it is; its U-Net and text encoder are trained on.
    """

    model_config = _FORM

    kind: Literal["pipeline"] = "pipeline"
    folder: str = Field(
        min_length=1, description="Folder, or s3:// address of one, that holds model_index.json."
    )


# Crops only: a rotation or shift would paint black corners into what the painter learns.
CROPS = AugmentationConfig(
    min_crop=0.92, rotation_degrees=0, translation=0, brightness=0.05, contrast=0.1,
    blur_probability=0,
)  # fmt: skip


class FinetuningConfig(BaseModel):
    """All that shapes a painter, its data apart."""

    model_config = _FORM

    start: Annotated[FromScratch | FromPipeline, Field(discriminator="kind")] = Field(
        default_factory=FromScratch, description="Which networks training begins with"
    )
    image_size_px: int = Field(
        64, ge=32, le=1024, multiple_of=8, description="Side of the square images painted, px"
    )
    augmentation: AugmentationConfig = Field(CROPS, description="Random views of a real image")
    views_per_image: int = Field(
        4, ge=1, le=64, description="Views of each image encoded once and then trained on"
    )
    training: StageConfig = Field(
        StageConfig(steps=6000, learning_rate=4e-4), description="Of U-Net and text encoder"
    )
    unlabelled_as_normal: bool = Field(
        True,
        description="Word an image without labels or report as normal, as ChestX-ray14 means it; "
        "false: say nothing of its findings",
    )
    text_dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of prompts left empty, for classifier-free guidance (Ho 2022)",
    )
    min_snr_gamma: float | None = Field(
        5.0, gt=0, le=1000, description="Of the min-SNR weighting (Hang 2023); null: unweighted"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of weights, order, views, text and noise")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: a GPU if there is one"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Of the forward pass; auto: bfloat16 on a GPU, float32 on a CPU"
    )
    memory_limit_mib: int = Field(
        4096, ge=1, le=10_000_000, description="Largest training set held in memory, MiB"
    )
    checkpoint_every_steps: int = Field(
        200, ge=1, le=1_000_000, description="Steps between checkpoints to resume from"
    )
    sample_every_steps: int = Field(
        500, ge=1, le=1_000_000, description="Steps between contact sheets of what it paints"
    )

    @model_validator(mode="after")
    def _latents_are_divisible(self) -> "FinetuningConfig":
        if isinstance(self.start, FromScratch):
            start = self.start
            factor = start.autoencoder.downscale * 2 ** (len(start.denoiser.widths) - 1)
            if self.image_size_px % factor:
                nearest = max(1, self.image_size_px // factor) * factor
                raise ValueError(
                    f"image_size_px must be a multiple of {factor} with these widths, got "
                    f"{self.image_size_px}; try {nearest}"
                )
        return self
