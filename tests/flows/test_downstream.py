"""What `evaluate` measures beyond zero-shot classification, on a tiny release and run."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.evaluation import evaluate
from flows.generate import generate_dataset
from flows.plan_files import parse_plan
from flows.pretrain import pretrain
from flows.summary import evaluation_text
from flows.training_plans import EvaluatePlan, PretrainPlan
from tests.flows.conftest import tiny_plan

PAINTER = {"kind": "phantom", "image_size_px": 64}
GROUNDING = {
    "kind": "grounding",
    "num_images": 30,
    "num_validation_images": 30,
    "painter": PAINTER,
    "settings": {"num_resamples": 100},
}


def _pretrained(root: str, objective: str) -> str:
    model: dict[str, Any] = {
        "objective": {"kind": objective, "embedding_size": 16},
        "image_tower": {"image_size_px": 32, "width": 8},
        "text_tower": {"width": 16, "num_layers": 1, "num_heads": 2},
        "training": {"steps": 4, "batch_size": 8, "device": "cpu"},
    }
    plan = {"name": objective, "dataset": "tiny", "model": model}
    return pretrain(PretrainPlan.model_validate(plan), root).run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("factory"))
    generate_dataset(tiny_plan(), folder)
    return folder


@pytest.fixture(scope="module")
def run(root: str) -> str:
    return _pretrained(root, "gloria")


def test_grounding_is_written_to_the_metrics_and_said(root: str, run: str) -> None:
    plan = EvaluatePlan.model_validate({"run": run, "tasks": [GROUNDING]})
    results = evaluate(plan, root)
    assert set(results) == {"grounding"}
    stored = json.loads((Path(root) / "models" / run / "metrics.json").read_text())
    assert stored["grounding"] == json.loads(json.dumps(results["grounding"]))
    macro = stored["grounding"]["phantoms"]["macro"]
    assert 0 <= macro["pointing_game"]["value"] <= 1
    assert 0 < macro["chance_pointing_game"]["value"] < 1
    assert evaluation_text(results).startswith("grounding on phantoms (30 images):")


def test_grounding_of_a_run_without_regions_is_refused_before_painting(root: str) -> None:
    plan = EvaluatePlan.model_validate({"run": _pretrained(root, "convirt"), "tasks": [GROUNDING]})
    with pytest.raises(ValueError, match=r"\(gloria, mgca\), got convirt"):
        evaluate(plan, root)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs sets or tasks, got neither"),
        ({"tasks": [GROUNDING, GROUNDING]}, "got 'phantoms' twice in grounding"),
        ({"tasks": [{"kind": "telepathy"}]}, "telepathy"),
    ],
)
def test_evaluation_that_measures_nothing_or_one_thing_twice_is_one_line(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        parse_plan({"run": "a-r1", **settings}, EvaluatePlan, "plan.yaml")
    assert "\n" not in str(refused.value)
