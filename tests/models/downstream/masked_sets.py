"""Small images with a bright square and a dark bar whose every pixel is known."""

import numpy as np
import torch

from models.downstream.masked_images import MaskedImages
from models.downstream.masked_splits import MaskedSplits
from models.vlp.configs import ImageTowerConfig, PretrainingConfig, TextTowerConfig
from models.vlp.model import VisionLanguageModel
from models.vlp.tokenizer import WordTokenizer
from models.vocabulary.findings import Finding

SQUARE, BAR = Finding.MASS, Finding.EFFUSION
SIDE = 32


def drawn(
    num_images: int, seed: int, shape: tuple[int, int] = (SIDE, SIDE), name: str = "drawn"
) -> MaskedImages:
    """Two images a patient; each shape is in half of them, at a random place."""
    random = np.random.default_rng(seed)
    images, masks = [], []
    for _ in range(num_images):
        image, of_image = random.normal(90, 12, shape), {}
        for finding, height, width, contrast in ((SQUARE, 10, 10, 90), (BAR, 4, 14, -80)):
            if random.random() < 0.5:
                top = random.integers(shape[0] - height)
                left = random.integers(shape[1] - width)
                mask = np.zeros(shape, bool)
                mask[top : top + height, left : left + width] = True
                image[mask] += contrast
                of_image[finding] = mask
        images.append(np.clip(image, 0, 255).astype(np.uint8))
        masks.append(of_image)
    groups = tuple(f"{seed}:{number // 2}" for number in range(num_images))
    return MaskedImages(name, images, masks, groups)


def drawn_splits(num_train: int = 100) -> MaskedSplits:
    """Train, validation and test of their own patients; the test images are not square."""
    return MaskedSplits(drawn(num_train, 1), drawn(40, 2), drawn(40, 3, (SIDE, 24), "held out"))


def tiny_model(tower: str = "narrow-resnet") -> VisionLanguageModel:
    """A model of random weights, with a bare text tower."""
    torch.manual_seed(0)
    config = PretrainingConfig(
        image_tower=ImageTowerConfig(name=tower, image_size_px=SIDE, width=8),
        text_tower=TextTowerConfig(width=16, num_layers=1, num_heads=2),
    )
    return VisionLanguageModel(config, WordTokenizer.train(["no effusion"], 10, 1)).eval()
