"""Where findings are: do GLoRIA and MGCA point at them, where the truth is known?

    python -m benchmarks.grounding --objective gloria [--times 10] [--steps 4000] [--root FOLDER]

Trains the objective on the demo's pairs, `--times` as many, and asks for each finding of other
phantoms whether the map of its phrase lies in its mask: by words, where the objective compares
words with regions, and by the gradient. Beside the pointing game stand chance (the
mask's share of the image) and a map that sees no image (the mean mask of the finding), which wins
where a finding is always in one place. Prints one JSON line. A root keeps pairs and run for the
next call.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from typing import Any

from benchmarks.demo import scaled_plan
from flows.downstream_plans import GroundingTask
from flows.training_plans import EvaluatePlan, PhantomSet, PretrainPlan
from models.downstream.grounding import GroundingConfig, MapSource
from storage.layout import DatasetLayout
from storage.objects import open_store
from storage.releases import release_numbers

BOTH = (MapSource.WORDS, MapSource.GRADIENT)
MAPS = {
    "convirt": (MapSource.GRADIENT,),
    "clip": (MapSource.GRADIENT,),
    "gloria": BOTH,
    "mgca": BOTH,
}


def training_plan(objective: str, steps: int, image_size_px: int) -> PretrainPlan:
    """The demo's towers under another objective."""
    model = {
        "objective": {"kind": objective},
        "image_tower": {"name": "narrow-resnet", "image_size_px": image_size_px},
        "training": {"steps": steps, "batch_size": 48, "texts_per_image": 1, "seed": 7},
    }
    return PretrainPlan.model_validate(
        {"name": f"known-{objective}", "dataset": "demo", "model": model}
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objective", choices=tuple(MAPS), required=True)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--image-size-px", type=int, default=64)
    parser.add_argument("--images", type=int, default=400, help="phantoms to measure on")
    parser.add_argument("--root", default=None)
    arguments = parser.parse_args()
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    from flows.evaluation import evaluate
    from flows.generate import generate_dataset
    from flows.pretrain import pretrain

    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.root or scratch
        plan = scaled_plan(arguments.times)
        if not release_numbers(open_store(root), DatasetLayout(plan.name)):
            generate_dataset(plan, root)
        run = pretrain(
            training_plan(arguments.objective, arguments.steps, arguments.image_size_px), root
        )
        asked = EvaluatePlan(
            run=run.run,
            sets=(PhantomSet(num_images=420, seed=11),),
            tasks=tuple(
                GroundingTask(
                    name=source,
                    num_images=arguments.images,
                    num_validation_images=arguments.images,
                    seed=21,
                    settings=GroundingConfig(maps=source),
                )
                for source in MAPS[arguments.objective]
            ),
        )
        found = evaluate(asked, root)
    line: dict[str, Any] = {
        "benchmark": "grounding",
        "objective": arguments.objective,
        "training": run.metrics["training"],
        "image_size_px": arguments.image_size_px,
        "macro_auroc": found["zero_shot"]["phantoms"]["macro_auroc"],
        "grounding": found["grounding"],
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
