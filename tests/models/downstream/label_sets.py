"""Small labelled splits whose findings can be read off the features or the pixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.downstream.labelled_images import LabelledImages
from models.downstream.labelled_splits import LabelledSplits
from models.vocabulary.findings import Finding

FINDINGS = (Finding.EDEMA, Finding.MASS, Finding.HERNIA)
SIDE = 32


def labelled(
    name: str, num_images: int, seed: int, prevalence: Sequence[float] = (0.5, 0.3, 0.1)
) -> LabelledImages:
    """Two images a patient; a finding is a bright bar in its own rows, over noise."""
    random = np.random.default_rng(seed)
    labels_NF = (random.random((num_images, len(FINDINGS))) < prevalence).astype(np.int8)
    return LabelledImages(
        name=name,
        images=[_drawn(labels_F, random) for labels_F in labels_NF],
        labels_NF=labels_NF,
        groups=tuple(f"{seed}:{number // 2}" for number in range(num_images)),
        findings=FINDINGS,
    )


def splits(num_train: int = 120) -> LabelledSplits:
    """Train, validation and test of their own patients."""
    return LabelledSplits(
        labelled("set", num_train, 1), labelled("set", 60, 2), labelled("set", 60, 3)
    )


def _drawn(labels_F: NDArray[np.int8], random: np.random.Generator) -> NDArray[np.uint8]:
    image = random.normal(90, 25, (SIDE, SIDE))
    for number, present in enumerate(labels_F):
        image[10 * number + 2 : 10 * number + 6] += 60 * present
    return np.clip(image, 0, 255).astype(np.uint8)
