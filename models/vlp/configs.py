"""What a user may set about vision-language pre-training. Light: imports no torch."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    WithJsonSchema,
    model_validator,
)

from models.registry import registered_form
from models.vlp.objectives import ConvirtConfig, ObjectiveConfig, objective_config

_FORM = ConfigDict(extra="forbid", frozen=True)

LIBRARIES = ("timm", "open_clip")
_HUGGINGFACE = "hf/"


class ImageTowerConfig(BaseModel):
    """Which network sees the image, and at which size."""

    model_config = _FORM

    name: str = Field(
        "narrow-resnet",
        pattern=r"^(narrow-resnet|timm/.+|open_clip/.+)$",
        description="narrow-resnet (small, for a laptop), timm/<model> or open_clip/<model>",
    )
    image_size_px: int = Field(
        96, ge=32, le=1024, multiple_of=8, description="Side of the square image the tower sees, px"
    )
    width: int = Field(
        16, ge=8, le=256, multiple_of=8, description="narrow-resnet: channels of the first stage"
    )
    blocks_per_stage: int = Field(
        1, ge=1, le=8, description="narrow-resnet: residual blocks in each of the four stages"
    )
    pretrained_tag: str | None = Field(
        None,
        description="timm and open_clip: name of published weights to start from; null: random",
    )


class TextTowerConfig(BaseModel):
    """Which network reads the text, with its tokenizer."""

    model_config = _FORM

    name: str = Field(
        "small-transformer",
        pattern=rf"^(small-transformer|{_HUGGINGFACE}.+)$",
        description="small-transformer (for a laptop; learns its words from the reports), or "
        "hf/<folder or cached hub id> of a Hugging Face text encoder with its tokenizer",
    )
    width: int = Field(
        64, ge=16, le=1024, multiple_of=8, description="small-transformer: embedding width"
    )
    num_layers: int = Field(1, ge=1, le=24, description="small-transformer: layers")
    num_heads: int = Field(
        2, ge=1, le=16, description="small-transformer: attention heads; must divide the width"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="small-transformer: dropout inside it")
    max_tokens: int = Field(48, ge=4, le=512, description="Longer texts are cut here, tokens")
    vocabulary_size: int = Field(
        8000,
        ge=100,
        le=200_000,
        description="small-transformer: most frequent words kept; others are spelt out",
    )
    min_count: int = Field(
        2,
        ge=1,
        le=1000,
        description="small-transformer: words rarer than this in the training text are spelt out",
    )

    @property
    def huggingface_model(self) -> str:
        """Folder or hub id of the text model; empty for the small transformer."""
        return self.name.removeprefix(_HUGGINGFACE) if self.name.startswith(_HUGGINGFACE) else ""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "TextTowerConfig":
        if self.width % self.num_heads:
            raise ValueError(
                f"num_heads must divide width {self.width}, got {self.num_heads}; try 1, 2, 4 or 8"
            )
        return self


class AugmentationConfig(BaseModel):
    """Random image views. No flip by default: the text names left and right."""

    model_config = _FORM

    min_crop: float = Field(
        0.92,
        gt=0,
        le=1,
        description="Smallest side of the random square crop, fraction of the side",
    )
    max_crop: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Largest side of it; with min_crop the same, 0.875 is MGCA's 224 of 256 px",
        exclude_if=lambda side: side == 1.0,  # content of runs older than this field is unchanged
    )
    rotation_degrees: float = Field(8, ge=0, le=45, description="Largest rotation either way")
    translation: float = Field(
        0.04, ge=0, le=0.5, description="Largest shift beyond the crop's own, fraction of the side"
    )
    brightness: float = Field(
        0.2, ge=0, le=1, description="Largest change of brightness, fraction of full scale"
    )
    contrast: float = Field(0.2, ge=0, lt=1, description="Largest relative change of contrast")
    blur_probability: float = Field(0.2, ge=0, le=1, description="Share of images blurred")
    max_blur_px: float = Field(
        1.0, gt=0, le=10, description="Largest Gaussian blur, standard deviation in pixels"
    )
    horizontal_flip: bool = Field(
        False, description="Mirror half of the images; wrong for text that names a side"
    )

    @model_validator(mode="after")
    def _crop_is_a_range(self) -> "AugmentationConfig":
        if self.max_crop < self.min_crop:
            raise ValueError(
                f"max_crop must be at least min_crop {self.min_crop:g}, got {self.max_crop:g}; "
                "raise it"
            )
        return self


class TrainingConfig(BaseModel):
    """How long, how fast and where. Everything random follows from `seed`."""

    model_config = _FORM

    epochs: int = Field(
        60, ge=1, le=10_000, description="Passes over the training split, unless steps is given"
    )
    steps: int | None = Field(
        None, ge=1, le=10_000_000, description="Optimiser steps; null: epochs decide"
    )
    batch_size: int = Field(32, ge=2, le=65_536, description="Pairs per step")
    chunk_size: int | None = Field(
        None,
        ge=2,
        le=65_536,
        description="Pairs in the towers at once, for batches larger than the device holds; the "
        "gradient stays the whole batch's, but batch normalisation sees chunks. null: all",
    )
    texts_per_image: int = Field(
        4,
        ge=1,
        le=16,
        description="Independent text draws per image and step, losses averaged (paper: 1)",
    )
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak learning rate of AdamW")
    warmup: float = Field(
        0.1, ge=0, lt=1, description="Share of the steps in which the rate rises to its peak"
    )
    weight_decay: float = Field(
        0.2, ge=0, le=1, description="Of matrices and kernels; biases and norms have none"
    )
    max_gradient_norm: float = Field(1.0, gt=0, le=1000, description="Gradients are clipped to it")
    average_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The model is an exponential average of the weights with this decay a step "
        "(0.999: about the last 1,000 steps); null: the last weights",
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="End after so many looks at the validation split without a new lowest loss, "
        "and keep the weights of the lowest; null: all steps, and the last",
    )
    validate_every_steps: int = Field(
        200, ge=1, le=1_000_000, description="With patience: steps between two looks"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of weights, order, views and dropout")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: a GPU if there is one"
    )
    num_processes: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = Field(
        1,
        description="Processes on this host that share each batch, one a GPU; the loss stays the "
        "whole batch's. Must divide batch_size. auto: one for each GPU there is",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Of the towers; auto: bfloat16 on a GPU, float32 on a CPU"
    )
    num_workers: int = Field(
        2,
        ge=0,
        le=256,
        description="Processes that read and decode what memory does not hold, per num_processes",
    )
    memory_limit_mib: int = Field(
        512,
        ge=0,
        le=10_000_000,
        description="Decode once and keep if the images fit this, MiB, in each of num_processes",
    )
    checkpoint_every_steps: int = Field(
        200, ge=1, le=1_000_000, description="Steps between checkpoints to resume from"
    )

    @model_validator(mode="after")
    def _several_processes_choose_their_gpus(self) -> "TrainingConfig":
        if ":" in self.device and self.num_processes != 1:
            raise ValueError(
                f"device must be auto, cuda or cpu for num_processes {self.num_processes}, got "
                f"{self.device!r}; each process takes the GPU of its number"
            )
        return self


def _found_by_kind(value: Any) -> Any:
    return objective_config(value) if isinstance(value, dict) else value


_Objective = Annotated[
    SerializeAsAny[ObjectiveConfig],
    BeforeValidator(_found_by_kind),
    WithJsonSchema(registered_form("objectives", ObjectiveConfig)),
]


class PretrainingConfig(BaseModel):
    """All that shapes a pre-trained model, its data apart."""

    model_config = _FORM

    objective: _Objective = Field(
        default_factory=ConvirtConfig, description="What is minimised; found by its kind"
    )
    image_tower: ImageTowerConfig = Field(ImageTowerConfig(), description="Image tower")
    text_tower: TextTowerConfig = Field(TextTowerConfig(), description="Text tower")
    augmentation: AugmentationConfig = Field(AugmentationConfig(), description="Image views")
    training: TrainingConfig = Field(TrainingConfig(), description="Length, rate, device")
