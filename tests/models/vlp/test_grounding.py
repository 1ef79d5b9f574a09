from pathlib import Path

import numpy as np
import pytest

from models.vlp.checkpoint import TrainingProvenance, load_model
from models.vlp.configs import (
    AugmentationConfig,
    ImageTowerConfig,
    PretrainingConfig,
    TextTowerConfig,
    TrainingConfig,
)
from models.vlp.objective_configs import GloriaConfig
from models.vlp.trainer import pretrain

from .conftest import SHAPES, draw_shapes, shape_rows, write_pairs

SIDE = 64
NUM_IMAGES = 20
# Cells of the 4 x 4 map that a shape touches, of `draw_shapes`: a quarter of the map each.
TOUCHED = {"square": {(0, 0), (0, 1), (1, 0), (1, 1)}, "bar": {(3, 0), (3, 1), (3, 2), (3, 3)}}


def test_gloria_points_at_what_a_prompt_names(tmp_path: Path) -> None:
    """The pointing game on drawn shapes; a map that knew nothing would win a quarter of it.

    By its words and by the gradient.
    """
    source = write_pairs(shape_rows(240, SIDE), tmp_path / "pairs.lance")
    config = PretrainingConfig(
        objective=GloriaConfig(embedding_size=32),
        image_tower=ImageTowerConfig(image_size_px=SIDE, width=8),
        text_tower=TextTowerConfig(width=32, max_tokens=24),
        augmentation=AugmentationConfig(min_crop=0.98, rotation_degrees=1, translation=0),
        training=TrainingConfig(
            steps=150, batch_size=32, texts_per_image=1, device="cpu", learning_rate=3e-3
        ),
    )
    run = pretrain(config, source, tmp_path / "run", TrainingProvenance("{}", "d", "1", "0"))
    model = load_model(run.model_path)
    random = np.random.default_rng(5)
    for shape, touched in TOUCHED.items():
        hits = np.zeros(2)
        for _ in range(NUM_IMAGES):
            others = [other for other in SHAPES if other != shape and random.random() < 0.5]
            image = draw_shapes([shape, *others], random, SIDE)
            for number, map_of in enumerate((model.similarity_map, model.gradient_map)):
                found = map_of(image, f"there is a {shape}")
                assert found.shape == (4, 4)
                hits[number] += np.unravel_index(found.argmax(), found.shape) in touched
        assert hits / NUM_IMAGES == pytest.approx(1, abs=0.3), shape
