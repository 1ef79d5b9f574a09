"""Segmentation and detection where the truth is known: trained and measured on phantoms.

    python -m benchmarks.known_truth_dense --task segmentation [--run ROOT RUN]
    python -m benchmarks.known_truth_dense --task detection [--run ROOT RUN]

The encoder is that of a run; without one, the demo's model is pre-trained here for `--steps` steps
on the demo's pairs. Of the phantoms painted (each finding in one of ten) all are taken that show a
finding asked for, and as many that show none. Beside every figure stands that of the same network
on an untrained encoder.
Prints one JSON line; the seconds of CPU are of this process and of the painters it started, and
tell on a busy machine what an idle one would take on one core.
"""

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.demo import scaled_plan, scaled_training
from flows.demo import PLANS
from flows.plan_files import load_plan
from flows.training_plans import PretrainPlan
from models.downstream.boxed_images import BoxedSplits, boxed
from models.downstream.dense_configs import DetectionConfig, SegmentationConfig
from models.downstream.dense_results import DenseResult
from models.downstream.detection import evaluate_detection
from models.downstream.masked_images import MaskedImages
from models.downstream.masked_splits import MaskedSplits
from models.downstream.segmentation import evaluate_segmentation
from models.engines import engine_config
from models.vlp.model import VisionLanguageModel
from tasks.downstream import paint_masked_set
from tasks.evaluation import trained_model

# The two largest masks of the 14, about 27 and 20 % of the image; the heart's is the third.
LARGEST = ("Emphysema", "Edema")
FRAMED = ("Cardiomegaly", "Hernia")  # one piece each, whatever the severity
SEED = 31  # of the phantoms; no plan's
SEGMENTATION: dict[str, Any] = {
    "findings": LARGEST,
    "encoder": "fine_tuned",
    "shares": [1.0],
    "steps": 800,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "validate_every_steps": 100,
    "decoder_width": 8,
    "device": "cpu",
}
DETECTION: dict[str, Any] = {
    "findings": FRAMED,
    "encoder": "fine_tuned",
    "shares": [1.0],
    "steps": 300,
    "batch_size": 8,
    "learning_rate": 2e-3,
    "validate_every_steps": 60,
    "pyramid_width": 32,
    "device": "cpu",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=("segmentation", "detection"), required=True)
    parser.add_argument("--run", nargs=2, metavar=("ROOT", "RUN"))
    parser.add_argument("--steps", type=int, default=600, help="of pre-training, without --run")
    parser.add_argument("--images", type=int, nargs=3, default=(800, 200, 300))
    parser.add_argument("--image-size", type=int, default=64, help="of the phantoms, px")
    parser.add_argument("--settings", type=json.loads, default={}, help="of the task, as JSON")
    given = parser.parse_args()
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    seconds: dict[str, list[float]] = {}
    with timed("encoder", seconds):
        model = trained_model(*given.run) if given.run else pretrained_here(given.steps)
    settings = (SEGMENTATION if given.task == "segmentation" else DETECTION) | given.settings
    with timed("paint", seconds):
        splits = painted(tuple(given.images), given.image_size, settings["findings"])
    with timed("train_and_measure", seconds):
        result = measured(given.task, model, splits, settings)
    line = {
        "benchmark": f"known_truth_dense {given.task}",
        "shares": [share.as_dict() for share in result.shares],
        "settings": result.config.model_dump(mode="json"),
        "painted": list(given.images),
        "images": [len(one.images) for one in (splits.train, splits.validation, splits.test)],
        "phantom_size_px": given.image_size,
        "encoder": model.config.image_tower.model_dump(mode="json"),
        "wall_and_cpu_seconds": seconds,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
    }
    sys.stdout.write(json.dumps(line) + "\n")


def pretrained_here(steps: int) -> VisionLanguageModel:
    """The demo's model, trained for so many steps on the demo's pairs."""
    from flows.generate import generate_dataset
    from flows.pretrain import pretrain

    training = load_plan(PLANS / "demo-pretrain.yaml", PretrainPlan)
    with tempfile.TemporaryDirectory() as root:
        generate_dataset(scaled_plan(1), root)
        return trained_model(root, pretrain(scaled_training(training, steps, {}), root).run)


def painted(
    num_images: tuple[int, int, int], size_px: int, findings: Sequence[str]
) -> MaskedSplits:
    """Phantoms to train on, to choose by and to measure on."""
    painter = engine_config("painters", {"kind": "phantom", "image_size_px": size_px})
    train, validation, test = (
        evened(paint_masked_set.fn("phantoms", painter, number, SEED + place), findings)
        for place, number in enumerate(num_images)
    )
    return MaskedSplits(train, validation, test)


def evened(masked: MaskedImages, findings: Sequence[str]) -> MaskedImages:
    """All images that show one of the findings, and as many of the first that show none."""
    shown = [any(masks[one].any() for one in masks if one in findings) for masks in masked.masks]
    with_any = [row for row, some in enumerate(shown) if some]
    without = [row for row, some in enumerate(shown) if not some]
    rows = sorted(with_any + without[: len(with_any)])
    return MaskedImages(
        masked.name,
        [masked.images[row] for row in rows],
        [masked.masks[row] for row in rows],
        tuple(masked.groups[row] for row in rows),
    )


def measured(
    task: str, model: VisionLanguageModel, splits: MaskedSplits, settings: dict[str, Any]
) -> DenseResult:
    """The task's result."""
    if task == "segmentation":
        return evaluate_segmentation(model, splits, SegmentationConfig.model_validate(settings))
    framed = BoxedSplits(boxed(splits.train), boxed(splits.validation), boxed(splits.test))
    return evaluate_detection(model, framed, DetectionConfig.model_validate(settings))


@contextmanager
def timed(what: str, seconds: dict[str, list[float]]) -> Iterator[None]:
    """Notes seconds by the clock and of CPU, children that have ended included."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    yield
    seconds[what] = [round(time.perf_counter() - wall, 1), round(cpu_seconds() - cpu, 1)]


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
