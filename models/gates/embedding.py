"""What gates that compare embeddings share: what is no image is refused, the rest embedded once.

Shape suffixes: N images, D features.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.encoders.seam import ImageEncoder, Matrix
from models.engines import PaintedImage
from storage.records import GateScore, RejectionReason, Verdict

# Verdicts of images by their embeddings (N, D) and their places among the images checked.
Judge = Callable[[Matrix, list[int]], list[Verdict]]


def judge_embeddings(
    gate: str, encoder: ImageEncoder, images: Sequence[PaintedImage], judge: Judge
) -> list[Verdict]:
    """A verdict per image, in order; only images that can be embedded reach `judge`."""
    refused = {at: verdict for at, one in enumerate(images) if (verdict := _unusable(gate, one))}
    usable = [at for at in range(len(images)) if at not in refused]
    embeddings_ND = encoder.embed([images[at].pixels_HW for at in usable])
    judged = judge(embeddings_ND, usable) if usable else []
    verdicts = refused | dict(zip(usable, judged, strict=True))
    return [verdicts[at] for at in range(len(images))]


def _unusable(gate: str, image: PaintedImage) -> Verdict | None:
    pixels: NDArray[Any] = image.pixels_HW
    if pixels.ndim != 2 or not pixels.size:
        score = GateScore(gate, "num_dimensions", float(pixels.ndim), 2.0, passed=False)
        return Verdict(RejectionReason.WRONG_SIZE, (score,))
    broken = 1.0 - float(np.isfinite(pixels).mean())
    if broken:
        score = GateScore(gate, "not_finite_fraction", broken, 0.0, passed=False)
        return Verdict(RejectionReason.NOT_FINITE, (score,))
    return None
