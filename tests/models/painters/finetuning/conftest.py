"""Made radiographs that a tiny painter can tell apart: with a mass the left half is bright."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from models.painters.finetuning.captions import Subject
from models.painters.finetuning.configs import (
    AutoencoderConfig,
    DenoiserConfig,
    FinetuningConfig,
    FromScratch,
    StageConfig,
    TextEncoderConfig,
)
from models.painters.finetuning.data import Radiograph, TrainingSet, read_training_set
from storage.records import Split

SIDE = 32


def made_radiograph(index: int, split: Split = Split.TRAIN) -> Radiograph:
    random = np.random.default_rng([5, index])
    has_mass = index % 2 == 0
    pixels = random.normal(60, 8, (SIDE, SIDE))
    pixels[:, slice(0, SIDE // 2) if has_mass else slice(SIDE // 2, SIDE)] += 130
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, format="PNG")
    subject = Subject(("Mass",) if has_mass else ("No Finding",), "PA", "FM"[index % 2], 50)
    return Radiograph(f"image{index}", f"patient{index // 2}", split, buffer.getvalue(), subject)


@pytest.fixture(scope="session")
def training_set() -> TrainingSet:
    return read_training_set([made_radiograph(index) for index in range(24)], SIDE, 16)


@pytest.fixture(scope="session")
def tiny_config() -> FinetuningConfig:
    return FinetuningConfig(
        start=FromScratch(
            autoencoder=AutoencoderConfig(
                widths=(16, 16),
                training=StageConfig(steps=6, batch_size=4, learning_rate=2e-3, warmup_steps=2),
            ),
            text_encoder=TextEncoderConfig(width=16, num_layers=1, num_heads=2, max_tokens=24),
            denoiser=DenoiserConfig(widths=(16, 32), num_heads=2),
        ),
        image_size_px=SIDE,
        views_per_image=2,
        training=StageConfig(steps=8, batch_size=4, learning_rate=1e-3, warmup_steps=2),
        seed=11,
        device="cpu",
        checkpoint_every_steps=3,
        sample_every_steps=4,
    )


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny networks: threads cost more than they give, and sums keep one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
