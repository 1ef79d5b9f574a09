"""A small pairs-like Lance table with shapes a tower can learn, so that tests need no painter."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from models.vlp.configs import (
    AugmentationConfig,
    ImageTowerConfig,
    PretrainingConfig,
    TextTowerConfig,
    TrainingConfig,
)
from models.vlp.data import PairSource
from models.vlp.objectives import ConvirtConfig

from .tiny_bert import save_tiny_bert

SHAPES = ("square", "bar", "ring")


def draw_shapes(
    present: Sequence[str], random: np.random.Generator, side: int
) -> NDArray[np.uint8]:
    image = random.normal(90, 12, (side, side))
    rows, columns = np.mgrid[:side, :side] / side
    if "square" in present:
        image[(abs(rows - 0.3) < 0.1) & (abs(columns - 0.3) < 0.1)] += 90
    if "bar" in present:
        image[abs(rows - 0.8) < 0.04] += 80
    if "ring" in present:
        distance = np.hypot(rows - 0.4, columns - 0.7)
        image[(distance > 0.1) & (distance < 0.16)] -= 80
    return np.clip(image, 0, 255).astype(np.uint8)


def as_png(pixels_HW: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels_HW).save(buffer, format="PNG")
    return buffer.getvalue()


def shape_rows(num_pairs: int, side: int = 40) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for index in range(num_pairs):
        random = np.random.default_rng([7, index])
        present = [shape for shape in SHAPES if random.random() < 0.5]
        findings = " ".join(
            f"There is a {shape}." if shape in present else f"No {shape}." for shape in SHAPES
        )
        rows.append(
            {
                "sample_id": f"{index:032x}",
                "index": index,
                "split": "test" if index % 8 == 7 else "train",
                "findings": findings,
                "impression": f"{', '.join(present) or 'nothing'} seen.",
                "image": as_png(draw_shapes(present, random, side)),
            }
        )
    return rows


def write_pairs(rows: Sequence[dict[str, object]], folder: Path) -> PairSource:
    """Rows as a table of the storage version that releases use, image as a blob column."""
    fields = [
        pa.field("sample_id", pa.string()),
        pa.field("index", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("findings", pa.string()),
        pa.field("impression", pa.string()),
    ]
    columns = [pa.array([row[f.name] for row in rows], f.type) for f in fields]
    table = pa.Table.from_arrays(
        [*columns, lance.blob_array([row["image"] for row in rows])],
        schema=pa.schema([*fields, lance.blob_field("image")]),
    )
    dataset = lance.write_dataset(
        table, folder, data_storage_version="2.2", max_rows_per_file=100, mode="create"
    )
    return PairSource(str(folder), dataset.version)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSource:
    """96 pairs, 84 of them for training, stored in an order that is not that of `index`."""
    rows = shape_rows(96)
    shuffled = [rows[k] for k in np.random.default_rng(3).permutation(len(rows))]
    return write_pairs(shuffled, tmp_path_factory.mktemp("release") / "pairs.lance")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Hugging Face text model."""
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def tiny_config() -> PretrainingConfig:
    return PretrainingConfig(
        objective=ConvirtConfig(embedding_size=16),
        image_tower=ImageTowerConfig(image_size_px=32, width=8),
        text_tower=TextTowerConfig(width=16, num_layers=1, num_heads=2, max_tokens=16),
        augmentation=AugmentationConfig(),
        training=TrainingConfig(
            steps=12, batch_size=16, device="cpu", num_workers=0, checkpoint_every_steps=5, seed=11
        ),
    )


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny models: threads cost more than they give, and sums keep one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
