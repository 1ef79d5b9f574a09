"""The seam of pre-training: what an objective must offer, and how one is found by kind.

ConVIRT is the first; CLIP, GLoRIA and MGCA fit the same shape: they differ in which features
they compare (pooled, local, both), not in how towers, data and trainer work.
An objective from another package is found through the entry points `cxr_factory.objectives`.
Light: imports no torch before `build`.

Shape suffixes: B batch, C channels, D shared embedding, L tokens, H and W feature-map sides.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from models.registry import registered_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What an image tower saw: one vector an image and a map of local ones."""

    pooled_BC: "Tensor"
    local_BCHW: "Tensor"

    def in_float32(self) -> "ImageFeatures":
        """The same values, widened."""
        return replace(self, pooled_BC=self.pooled_BC.float(), local_BCHW=self.local_BCHW.float())


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """What a text tower read. `mask_BL` is True at real tokens, `token_ids_BL` what they are."""

    pooled_BC: "Tensor"
    local_BLC: "Tensor"
    token_ids_BL: "Tensor"
    mask_BL: "Tensor"

    def in_float32(self) -> "TextFeatures":
        """The same values, widened."""
        return replace(self, pooled_BC=self.pooled_BC.float(), local_BLC=self.local_BLC.float())


@dataclass(frozen=True, slots=True)
class TowerWidths:
    """Channels of the features an objective is built for."""

    image_pooled: int
    image_local: int
    text_pooled: int
    text_local: int


@dataclass(frozen=True, slots=True)
class ObjectiveLoss:
    """The scalar to minimise, and its named terms for the log (detached scalars)."""

    total: "Tensor"
    terms: "Mapping[str, Tensor]"


class PretrainingObjective(Protocol):
    """Projection heads and loss of one algorithm; an `nn.Module`, so that it may have weights."""

    def embed_images(self, features: ImageFeatures) -> "Tensor":
        """Unit-norm embeddings in the shared space, (B, D)."""
        ...

    def embed_texts(self, features: TextFeatures) -> "Tensor":
        """Unit-norm embeddings in the shared space, (B, D)."""
        ...

    def loss(self, images: ImageFeatures, texts: TextFeatures, progress: float) -> ObjectiveLoss:
        """Loss of a batch of matched pairs; row i belongs to row i.

        Args:
            images: From the image tower, B rows.
            texts: From the text tower, B rows.
            progress: Epochs done so far, for parts that wait or freeze (MGCA's prototypes).
        """
        ...

    def parameters(self) -> "Iterator[nn.Parameter]":
        """Its weights, trained with the towers'."""
        ...


class ObjectiveConfig(BaseModel):
    """Base of every objective's config. `build()` imports what is heavy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    text_view: Literal["sentence", "report"] = Field(
        "report", description="What an image is paired with: one random sentence, or all of it"
    )

    def build(self, widths: TowerWidths) -> PretrainingObjective:
        """The objective for towers with these feature widths; an `nn.Module`."""
        raise NotImplementedError(f"{type(self).__name__} must define build()")


class ConvirtConfig(ObjectiveConfig):
    """ConVIRT (Zhang et al. 2020): bidirectional InfoNCE between an image and one sentence."""

    kind: Literal["convirt"] = "convirt"
    text_view: Literal["sentence", "report"] = Field(
        "sentence", description="One sentence drawn uniformly (paper), or the whole report"
    )
    temperature: float = Field(0.1, gt=0, le=10, description="Softmax temperature (paper: 0.1)")
    image_to_text_weight: float = Field(
        0.75, ge=0, le=1, description="Weight of the image-to-text loss (paper: 0.75)"
    )
    embedding_size: int = Field(128, ge=8, le=4096, description="Shared space (paper: 512)")
    duplicate_text: Literal["negatives", "masked"] = Field(
        "masked",
        description="Equal texts in a batch: negatives of each other (paper), or left out",
    )

    def build(self, widths: TowerWidths) -> PretrainingObjective:
        """Projection heads of the paper and its loss."""
        from models.vlp.convirt import Convirt

        return Convirt(self, widths)


def objective_config(settings: Any) -> ObjectiveConfig:
    """Validate an objective's settings with the config class its kind registered.

    Args:
        settings: A mapping with `kind`, or an already validated config.

    Raises:
        ValueError: If the kind is unknown or two packages claim it; names what is registered.
    """
    return registered_config("objectives", settings, ObjectiveConfig)
