"""The seam of pre-training: what an objective must offer, and how one is found by kind.

Objectives differ in which features they compare (pooled, local, both), not in how towers, data
and trainer work. ConVIRT's settings stand here, the others' in `objective_configs.py`.
An objective from another package is found through the entry points `cxr_factory.objectives`.
Light: imports no torch before `build`.

Shape suffixes: B batch, C channels, D shared embedding, L tokens, W words, H and W of a map its
sides.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

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
        """The same values, widened where they are narrower."""
        return replace(
            self, pooled_BC=_widened(self.pooled_BC), local_BCHW=_widened(self.local_BCHW)
        )


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """What a text tower read.

    Attributes:
        pooled_BC: One vector a text.
        local_BLC: One a token.
        token_ids_BL: What the tokens are.
        mask_BL: True at real tokens, special marks included; False at padding.
        words_BL: Number of the word each token is a piece of; -1 at padding and special marks.
        attention_BL: How much the pooled vector takes from each token, 0 or more; detached.
    """

    pooled_BC: "Tensor"
    local_BLC: "Tensor"
    token_ids_BL: "Tensor"
    mask_BL: "Tensor"
    words_BL: "Tensor"
    attention_BL: "Tensor"

    def in_float32(self) -> "TextFeatures":
        """The same values, widened where they are narrower."""
        return replace(
            self,
            pooled_BC=_widened(self.pooled_BC),
            local_BLC=_widened(self.local_BLC),
            attention_BL=_widened(self.attention_BL),
        )


@dataclass(frozen=True, slots=True)
class TowerWidths:
    """Channels of the features an objective is built for, and regions of an image's map."""

    image_pooled: int
    image_local: int
    text_pooled: int
    text_local: int
    num_regions: int

    def require_regions(self, kind: str) -> None:
        """For objectives that tell regions apart.

        Raises:
            ValueError: If the map is a single region.
        """
        if self.num_regions < 2:
            raise ValueError(
                f"objective {kind} needs a map of several regions from the image tower, got "
                f"{self.num_regions}; raise image_size_px, or use convirt or clip"
            )


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

    def constrain(self) -> None:
        """Put weights back where the algorithm keeps them; called after every optimiser step."""
        ...

    def parameters(self) -> "Iterator[nn.Parameter]":
        """Its weights, trained with the towers'."""
        ...


@runtime_checkable
class GroundingObjective(Protocol):
    """An objective that compares words with regions, so that it can say where."""

    def similarity_maps(self, images: ImageFeatures, texts: TextFeatures) -> "Tensor":
        """How well each region of an image fits its text, cosines in -1..1, (B, H, W)."""
        ...

    def attention_maps(self, images: ImageFeatures, texts: TextFeatures) -> "Tensor":
        """Where each word of a text looks in its own image, (B, W, H, W), each map summing to 1.

        Maps of words beyond a text's last mean nothing.
        """
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


def _widened(values: "Tensor") -> "Tensor":
    return values.float() if values.itemsize < 4 else values
