"""What training leaves behind: the pipeline folder, and contact sheets on the way to it."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.painters.diffusion.checkpoints import PROVENANCE_FILE
from models.painters.finetuning.captions import Subject, full_caption
from models.painters.finetuning.networks import Networks
from models.vlp.schedule import Purpose, torch_random

# Of the contact sheets: images a side, scale of classifier-free guidance, steps of the solver.
SHEET_SIDE, GUIDANCE_SCALE, NUM_SOLVER_STEPS = 4, 2.0, 20


def save_sheet(networks: Networks, subjects: Sequence[Subject], path: Path, seed: int) -> None:
    """A contact sheet for people to look at: the same prompts and noise at every step."""
    spread = np.linspace(0, len(subjects) - 1, SHEET_SIDE**2).astype(int)
    pipeline = networks.pipeline()
    pipeline.set_progress_bar_config(disable=True)
    painted = pipeline(
        [full_caption(subjects[index]) for index in spread],
        num_inference_steps=NUM_SOLVER_STEPS,
        guidance_scale=GUIDANCE_SCALE,
        generator=torch_random(seed, Purpose.IMAGE, 0),
    ).images
    tiles = [np.asarray(image.convert("L")) for image in painted]
    rows = [np.hstack(tiles[k : k + SHEET_SIDE]) for k in range(0, len(tiles), SHEET_SIDE)]
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(path)


def save_pipeline(networks: Networks, folder: Path, provenance: Mapping[str, Any]) -> None:
    """An ordinary pipeline folder, which `DiffusionPipeline` loads.

    U-Net and autoencoder are stored in half precision, which halves the files: what is painted
    differs by rounding. diffusers loads them as float32 unless told otherwise, but a text encoder
    in the type it was stored in, so that one stays float32.

    Args:
        networks: Trained; converted in place, so this is the last thing done with them.
        folder: Replaced if it holds an earlier state of the run.
        provenance: JSON values, written beside the weights.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    networks.autoencoder.half()
    networks.unet.half()
    networks.pipeline().save_pretrained(partial)
    text = json.dumps(provenance, indent=2, sort_keys=True)
    (partial / PROVENANCE_FILE).write_text(text + "\n")
    if folder.is_dir():
        shutil.rmtree(folder)
    partial.replace(folder)
