"""The demo's loop, also at a multiple of its size: what zero-shot AUROC does known truth allow?

    python -m benchmarks.demo [--times 10] [--steps 30000] [--root FOLDER]

Generates the demo's plan with `--times` as many pairs, trains the demo's model on the release for
`--steps` optimiser steps, and evaluates it on held-out phantoms. Prints one JSON line.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from typing import Any

from flows.demo import PLANS
from flows.plan_files import load_plan
from flows.plans import AcceptedTarget, DatasetPlan, ExecutionPlan
from flows.training_plans import EvaluatePlan, PretrainPlan


def scaled_plan(times: int) -> DatasetPlan:
    """The demo's plan with so many times its pairs, entities used as evenly."""
    plan = load_plan(PLANS / "demo.yaml", DatasetPlan)
    target = plan.target
    assert isinstance(target, AcceptedTarget)
    return plan.model_copy(
        update={
            "target": AcceptedTarget(
                accepted=times * target.accepted, reserve=times * target.reserve
            ),
            "sampling": plan.sampling.model_copy(
                update={"max_uses": times * plan.sampling.max_uses}
            ),
            "execution": ExecutionPlan(shard_units=512),
        }
    )


def scaled_training(plan: PretrainPlan, steps: int | None, changes: dict[str, Any]) -> PretrainPlan:
    """The demo's training, for another number of steps and with other settings."""
    settings = plan.model_dump(mode="json")
    if steps:
        settings["model"]["training"]["steps"] = steps
    for part, values in changes.items():
        settings["model"][part] |= values
    return PretrainPlan.model_validate(settings)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--model", type=json.loads, default={}, help="changes of the model, JSON")
    parser.add_argument("--root", default=None)
    arguments = parser.parse_args()
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    from flows.evaluation import evaluate
    from flows.generate import generate_dataset
    from flows.pretrain import pretrain

    plan = scaled_plan(arguments.times)
    training = load_plan(PLANS / "demo-pretrain.yaml", PretrainPlan)
    training = scaled_training(training, arguments.steps, arguments.model)
    evaluation = load_plan(PLANS / "demo-evaluate.yaml", EvaluatePlan)
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.root or scratch
        began = time.perf_counter()
        release = generate_dataset(plan, root)
        generated = time.perf_counter()
        run = pretrain(training, root)
        trained = time.perf_counter()
        results = evaluate(evaluation.model_copy(update={"run": run.run}), root)
        evaluated = time.perf_counter()
    phantoms = results["zero_shot"]["phantoms"]
    line = {
        "benchmark": "demo",
        "pairs": release.num_accepted,
        "steps": run.metrics["training"]["steps"],
        "macro_auroc": round(phantoms["macro_auroc"], 4),
        "ci95": [round(bound, 4) for bound in phantoms["ci95"]],
        "per_finding": {
            name: round(score["auroc"], 3) for name, score in phantoms["per_finding"].items()
        },
        "generate_seconds": round(generated - began, 1),
        "pretrain_seconds": round(trained - generated, 1),
        "evaluate_seconds": round(evaluated - trained, 1),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
