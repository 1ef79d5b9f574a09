"""The encoder seam: what turns images, and of some kinds texts, into vectors to compare.

An encoder is named by `kind` and found among the entry points `cxr_factory.encoders`, like any
engine. Shape suffixes: N inputs, D features, H height and W width in pixels.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, SerializeAsAny, WithJsonSchema

from models.engines import EngineConfig, EngineInfo, engine_config, engine_form

Pixels = NDArray[np.uint8] | NDArray[np.float32]  # grey levels 0..255, (H, W)
Matrix = NDArray[np.float32]

EncoderConfig = Annotated[
    SerializeAsAny[EngineConfig],
    BeforeValidator(partial(engine_config, "encoders")),
    WithJsonSchema(engine_form("encoders")),
]


class ImageEncoder(Protocol):
    """Embeds radiographs. What is near in its space looks alike to it."""

    info: EngineInfo

    def embed(self, images: Sequence[Pixels]) -> Matrix:
        """Embeddings of grey images of any size, float32 (N, D), in order.

        Raises:
            ValueError: If an image is no plane or holds values that are not finite.
            EngineOutOfMemory: If a batch does not fit the device.
        """
        ...


class ImageTextEncoder(ImageEncoder, Protocol):
    """Embeds radiographs and texts in one space, both of unit norm."""

    def embed_texts(self, texts: Sequence[str]) -> Matrix:
        """Embeddings of texts, float32 (N, D), in order; what exceeds its window is cut."""
        ...


def handcrafted_encoder() -> EngineConfig:
    """The encoder that needs no weights."""
    return engine_config("encoders", {"kind": "handcrafted"})
