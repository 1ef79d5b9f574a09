"""What neural encoders share: grey images in batches through a model, on the device there is."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.encoders.seam import Matrix, Pixels
from models.images import to_uint8
from storage.errors import EngineOutOfMemory

BATCH_IMAGES = 32
BATCH_TEXTS = 256

InputT = TypeVar("InputT")


def grey_images(images: Sequence[Pixels]) -> list[Image.Image]:
    """As Pillow images of three equal channels, which vision models are made for."""
    return [Image.fromarray(to_uint8(image)).convert("RGB") for image in images]


def embed_images(images: Sequence[Pixels], encode: Callable[[list[Image.Image]], Tensor]) -> Matrix:
    """Embeddings of images, (N, D), a batch at a time; see `ImageEncoder.embed`."""
    starts = range(0, len(images), BATCH_IMAGES)
    return _joined([_run(encode, grey_images(images[at : at + BATCH_IMAGES])) for at in starts])


def embed_texts(texts: Sequence[str], encode: Callable[[list[str]], Tensor]) -> Matrix:
    """Embeddings of texts, (N, D), a batch at a time."""
    starts = range(0, len(texts), BATCH_TEXTS)
    return _joined([_run(encode, list(texts[at : at + BATCH_TEXTS])) for at in starts])


def _run(encode: Callable[[list[InputT]], Tensor], batch: list[InputT]) -> Tensor:
    try:
        with torch.inference_mode():
            return encode(batch).float().cpu()
    except torch.OutOfMemoryError as error:
        raise EngineOutOfMemory(f"{len(batch)} inputs do not fit the encoder's device") from error


def _joined(rows: list[Tensor]) -> Matrix:
    if not rows:
        return np.empty((0, 0), np.float32)
    return np.asarray(torch.cat(rows).numpy(), np.float32)
