"""Vision and vision-text checkpoints of random weights, saved as any checkpoint is."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_model
from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

from models.vlp.checkpoint import Checkpoint, TrainingProvenance, save_checkpoint
from models.vlp.configs import ImageTowerConfig, PretrainingConfig, TextTowerConfig
from models.vlp.model import VisionLanguageModel
from models.vlp.tokenizer import WordTokenizer

SIDE_PX = 32
OPEN_CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": SIDE_PX, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8
    },
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}  # fmt: skip


def save_dinov2(folder: Path, seed: int = 0) -> Path:
    """What RAD-DINO is, small: Dinov2 and its image processor."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Dinov2Model(
            Dinov2Config(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=SIDE_PX,
                patch_size=8,
            )
        )
    model.save_pretrained(folder)
    size = {"shortest_edge": SIDE_PX}
    crop = {"height": SIDE_PX, "width": SIDE_PX}
    BitImageProcessor(size=size, crop_size=crop).save_pretrained(folder)
    return folder


def save_open_clip(folder: Path) -> Path:
    """A folder as open_clip pushes it to a hub."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": OPEN_CLIP}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.CLIP(**OPEN_CLIP)
    save_model(model, str(folder / "open_clip_model.safetensors"))
    return folder


def save_factory_run(folder: Path) -> Path:
    """The checkpoint of a run of ours, by its random first weights."""
    config = PretrainingConfig(
        image_tower=ImageTowerConfig(image_size_px=32, width=8),
        text_tower=TextTowerConfig(width=16, num_layers=1, num_heads=2, max_tokens=16),
    )
    tokenizer = WordTokenizer.train(["no effusion", "large effusion"] * 2, 100, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VisionLanguageModel(config, tokenizer)
    provenance = TrainingProvenance("{}", "d", "d@1", "0")
    folder.mkdir(parents=True)
    checkpoint = Checkpoint(1, 1, config, tokenizer, provenance, model.state_dict())
    save_checkpoint(checkpoint, folder / "model.safetensors")
    return folder / "model.safetensors"
