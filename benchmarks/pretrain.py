"""Trainer overhead: steps/s of `pretrain` reading a Lance table against a bare PyTorch loop.

Both do the same arithmetic (views, towers, loss, AdamW) with the demo's model and batch; the bare
loop has its images and tokens as tensors in memory and neither log, checkpoint nor resumable
randomness. Run with `python -m benchmarks.pretrain [--steps 300] [--pairs 1400] [--repeats 3]`;
prints one JSON line. Sittings alternate and the best of each side counts, so that a busy machine
harms both alike; one sitting before them is not counted, since the first steps of a process compile
its convolutions and whoever comes first would pay for both.
"""

import argparse
import io
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from flows.plan_files import load_plan
from flows.training_plans import PretrainPlan
from models.vlp.checkpoint import TrainingProvenance, load_model
from models.vlp.configs import PretrainingConfig
from models.vlp.data import PairSource, open_images, read_texts
from models.vlp.images import as_input, random_views
from models.vlp.text_views import TextViews, views_of
from models.vlp.trainer import pretrain
from models.vlp.training_parts import build_optimiser
from storage.records import Split

DEMO_PLAN = Path("deployments/plans/demo-pretrain.yaml")
IMAGE_SIDE_PX = 256
SENTENCES = ("No {}.", "There is a small {}.", "A large {} is seen.")
TERMS = ("pleural effusion", "pneumothorax", "lung mass", "lung nodule", "cardiomegaly")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=1400)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    config = demo_config(given.steps)
    with tempfile.TemporaryDirectory() as folder:
        source = write_pairs(given.pairs, Path(folder) / "pairs.lance")
        measure(demo_config(20), source, Path(folder) / "first")
        runs = [measure(config, source, Path(folder) / str(k)) for k in range(given.repeats)]
    trainer, whole, bare = (min(seconds) for seconds in zip(*runs, strict=True))
    figures = {
        "benchmark": "pretrain",
        "trainer_steps_per_second": round(given.steps / trainer, 2),
        "bare_steps_per_second": round(given.steps / bare, 2),
        "ratio": round(bare / trainer, 3),
        "ratio_with_reading_and_start": round(bare / whole, 3),
        "steps": given.steps,
        "pairs": given.pairs,
        "batch_size": config.training.batch_size,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def demo_config(steps: int) -> PretrainingConfig:
    """What `make demo` trains, for as many steps."""
    plan = load_plan(DEMO_PLAN, PretrainPlan)
    training = plan.model.training.model_copy(update={"steps": steps, "device": "cpu"})
    return plan.model.model_copy(update={"training": training})


def measure(
    config: PretrainingConfig, source: PairSource, folder: Path
) -> tuple[float, float, float]:
    """Seconds of the trainer's steps, of the trainer with all it reads, and of the bare loop."""
    began = time.perf_counter()
    result = pretrain(config, source, folder, TrainingProvenance("{}", "benchmark", "1", ""))
    whole = time.perf_counter() - began
    return result.seconds, whole, bare_loop(config, source, result.model_path)


def bare_loop(config: PretrainingConfig, source: PairSource, model_path: Path) -> float:
    """The same steps, as short as PyTorch lets one write them; seconds."""
    settings, size = config.training, config.image_tower.image_size_px
    texts = read_texts(source, Split.TRAIN)
    everything = np.arange(len(texts))
    images = next(open_images(source, texts, size, 0, 10**6).batches([everything]))
    model = load_model(model_path).train()
    views = TextViews(views_of(texts, "sentence"), model.tokenizer, config.text_tower.max_tokens)
    tokens = torch.from_numpy(views.draw(everything, np.random.default_rng(0)))
    optimiser = build_optimiser(model, settings)
    random = torch.Generator().manual_seed(0)
    began = time.perf_counter()
    for _ in range(settings.steps or 0):
        pairs = torch.randint(len(texts), (settings.batch_size,), generator=random)
        views_B1SS = random_views(as_input(images[pairs]), config.augmentation, random)
        loss = model.loss(views_B1SS, [tokens[pairs]] * settings.texts_per_image, 0.0).total
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        optimiser.step()
    return time.perf_counter() - began


def write_pairs(num_pairs: int, folder: Path) -> PairSource:
    """A table like a small release: random images, three sentences each."""
    random = np.random.default_rng(0)
    reports = [
        " ".join(SENTENCES[random.integers(3)].format(term) for term in random.permutation(TERMS))
        for _ in range(num_pairs)
    ]
    table = pa.table(
        {
            "sample_id": [f"{k:032x}" for k in range(num_pairs)],
            "index": np.arange(num_pairs),
            "split": ["train"] * num_pairs,
            "findings": reports,
            "impression": ["Nothing acute."] * num_pairs,
        }
    )
    blobs = lance.blob_array([noise_png(random) for _ in range(num_pairs)])
    table = table.append_column(lance.blob_field("image"), blobs)
    dataset = lance.write_dataset(table, folder, data_storage_version="2.2")
    return PairSource(str(folder), dataset.version)


def noise_png(random: np.random.Generator) -> bytes:
    """A grey image that compresses about as badly as a radiograph."""
    coarse = random.integers(0, 256, (16, 16), dtype=np.uint8)
    smooth = np.asarray(
        Image.fromarray(coarse).resize((IMAGE_SIDE_PX,) * 2, Image.Resampling.BICUBIC)
    )
    grain = random.normal(0, 4, smooth.shape)
    buffer = io.BytesIO()
    image = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
