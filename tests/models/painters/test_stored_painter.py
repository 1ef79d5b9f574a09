"""The painter kept in the repository."""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline

FOLDER = Path("models/painters/checkpoints/nih-64")
MAX_BYTES = 25_000_000


def test_stored_painter_paints_varied_images_by_prompt() -> None:
    pipeline = DiffusionPipeline.from_pretrained(FOLDER, local_files_only=True)
    painted = [
        pipeline(
            prompt, num_inference_steps=8, guidance_scale=2.0,
            generator=torch.Generator().manual_seed(5),
        ).images[0]
        for prompt in ("Pneumonia and edema. AP view.", "No acute findings. PA view.")
    ]  # fmt: skip
    grey = [np.asarray(image, np.float64) for image in painted]
    assert all(image.size == (64, 64) for image in painted)
    assert all(pixels.std() > 15 for pixels in grey)
    assert np.abs(grey[0] - grey[1]).mean() > 5, "the prompt must matter"


def test_stored_painter_is_small_and_says_where_it_comes_from() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_BYTES
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    provenance = json.loads((FOLDER / "training.json").read_text())
    assert provenance["corpus"] == "nih"
    assert provenance["restricted"] is False
    assert "cxr-factory finetune" in (FOLDER / "README.md").read_text()
