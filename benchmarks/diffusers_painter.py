"""The `diffusers` painter through the factory, against a bare loop over the same pipeline.

    python -m benchmarks.diffusers_painter [--model FOLDER] [--images 160] [--steps 20]

Both paint the same prompts with the same seeds in batches of the same size. The bare loop calls
the pipeline, converts to grey and saves a PNG. The factory is the whole `generate-dataset` flow
(inline, server running): its paint stage is timed from the first to the last settled unit, with
queue, supervised child, gate, PNG, signature, staging and ledger; a second figure goes on to the
release. Loading the pipeline is on neither side. The two run in turn, ABAB, and the median counts.
Without --model, a small pipeline of random weights is made. Prints one JSON line.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.models.painters.diffusion.tiny_pipeline import tiny_pipeline

BATCH_SIZE = 8
GUIDANCE_SCALE = 4.0


@dataclass(frozen=True, slots=True)
class Painted:
    """One run of the factory: seconds an image, and what was painted."""

    paint_seconds: float
    release_seconds: float
    asked: tuple[tuple[str, int], ...]


def factory(model: str, num_images: int, num_steps: int) -> Painted:
    """The whole flow; seconds an image of its paint stage, and with publishing and release."""
    from flows.generate import generate_dataset
    from flows.plans import DatasetPlan
    from flows.work import open_work
    from storage.layout import Table
    from storage.records import Stage
    from storage.releases import open_table

    settings: dict[str, Any] = {
        "name": "painted",
        "target": {"all": num_images},
        "unit_size": BATCH_SIZE,
        "entities": {"kind": "built-in"},
        "sampling": {"clinical_per_report": 3, "anatomy_per_report": 1, "max_uses": 10_000},
        "writer": {"kind": "grammar"},
        "painter": {
            "kind": "diffusers",
            "model": model,
            "guidance_scale": GUIDANCE_SCALE,
            "num_steps": num_steps,
        },
        "image_rules": {"max_tries": 1, "near_duplicate_max_distance": None},
        "execution": {"shard_units": 10_000, "max_batch_size": BATCH_SIZE},
    }
    with tempfile.TemporaryDirectory() as root:
        release = generate_dataset(DatasetPlan.model_validate(settings), root)
        ended = time.time()
        dataset = open_work(root, "painted").dataset
        records = list(dataset.ledger.settled(Stage.PAINT).values())
        pairs = open_table(dataset.store, release, Table.PAIRS)
        painted = pairs.to_table(columns=["painted"])["painted"].to_pylist()
    first = min(records, key=lambda record: record.settled_at)
    num_timed = sum(len(record.outcomes) for record in records if record is not first)
    last = max(record.settled_at for record in records)
    return Painted(
        paint_seconds=(last - first.settled_at) / num_timed,
        release_seconds=(ended - first.settled_at) / num_timed,
        asked=tuple((row["prompt"], row["seed"]) for row in painted),
    )


class BareLoop:
    """What one writes without a factory; loads the pipeline once."""

    def __init__(self, model: str, num_steps: int) -> None:
        from models.painters.diffusion.config import DiffusersConfig
        from models.painters.diffusion.pipelines import TextToImage
        from models.painters.diffusion.prompts import PromptFitter

        config = DiffusersConfig(model=model)
        loaded = TextToImage(config, config.checkpoint())
        self._cut = PromptFitter(loaded.windows()).fit
        self._pipeline = loaded._pipeline
        self._num_steps = num_steps

    def seconds_per_image(self, asked: tuple[tuple[str, int], ...], folder: Path) -> float:
        """Paint and save every image; the first batch is not timed."""
        import torch

        began = 0.0
        for start in range(0, len(asked), BATCH_SIZE):
            if start == BATCH_SIZE:
                began = time.perf_counter()
            prompts, seeds = zip(*asked[start : start + BATCH_SIZE], strict=True)
            images = self._pipeline(
                prompt=[self._cut(prompt) for prompt in prompts],
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                num_inference_steps=self._num_steps,
                guidance_scale=GUIDANCE_SCALE,
            ).images
            for number, image in enumerate(images, start):
                image.convert("L").save(folder / f"{number}.png")
        return (time.perf_counter() - began) / (len(asked) - BATCH_SIZE)


def measure(model: str, num_images: int, num_steps: int, num_rounds: int) -> dict[str, object]:
    """All figures, factory and bare loop in turn."""
    bare = BareLoop(model, num_steps)
    factories: list[Painted] = []
    loops: list[float] = []
    for _ in range(num_rounds):
        factories.append(factory(model, num_images, num_steps))
        with tempfile.TemporaryDirectory() as folder:
            loops.append(bare.seconds_per_image(factories[-1].asked, Path(folder)))
    paint = statistics.median(run.paint_seconds for run in factories)
    released = statistics.median(run.release_seconds for run in factories)
    loop = statistics.median(loops)
    return {
        "benchmark": "diffusers_painter",
        "images": num_images,
        "steps": num_steps,
        "batch_size": BATCH_SIZE,
        "bare_seconds_per_image": round(loop, 4),
        "factory_seconds_per_image": round(paint, 4),
        "share_of_bare_speed": round(loop / paint, 4),
        "share_of_bare_speed_to_the_release": round(loop / released, 4),
        "bare_rounds": [round(seconds, 4) for seconds in loops],
        "factory_rounds": [round(run.paint_seconds, 4) for run in factories],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder of a saved pipeline; default: a small one is made")
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--width", type=int, default=64, help="of the small pipeline's U-Net")
    arguments = parser.parse_args()
    from flows.cli import PREFECT_DEFAULTS

    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    from prefect.testing.utilities import prefect_test_harness

    with tempfile.TemporaryDirectory() as folder, prefect_test_harness(server_startup_timeout=120):
        model = arguments.model or folder
        if not arguments.model:
            tiny_pipeline(window=77, width=arguments.width).save_pretrained(folder)
        line = measure(model, arguments.images, arguments.steps, arguments.rounds)
    line |= {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0))}
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
