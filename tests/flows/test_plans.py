from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from flows.calibrate import CalibratePlan
from flows.finetune import FinetunePlan
from flows.plan_files import load_plan, parse_plan
from flows.plans import DatasetPlan
from flows.study_files import load_study
from flows.study_plans import StudyPlan
from flows.training_plans import EvaluatePlan, PretrainPlan
from tests.flows.conftest import tiny_plan

PLANS = sorted(Path("deployments/plans").glob("*.yaml"))


def _settings(**changes: Any) -> dict[str, Any]:
    return tiny_plan().model_dump(mode="json") | changes


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"unit_sice": 4}, "unit_sice: no such field"),
        ({"painter": {"kind": "watercolour"}}, "kind must be one of .*phantom.*'watercolour'"),
        ({"painter": "phantom"}, "expected settings with a kind"),
        ({"painter": {"kind": "phantom", "image_size_px": 100}}, "image_size_px.*100"),
        ({"unit_size": 0}, "unit_size: .*greater than or equal to 1, got 0"),
        ({"splits": {"train": 0.9, "validation": 0.9}}, "splits must sum to 1, got 1.8"),
        ({"name": "Not A Name"}, "name: .*'Not A Name'"),
    ],
)
def test_plan_bad_input_one_line_names_field_and_value(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        parse_plan(_settings(**changes), DatasetPlan, source="plan.yaml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("plan.yaml: ")


def test_plan_missing_file_says_so() -> None:
    with pytest.raises(ValueError, match=r"no\.yaml.*does not exist"):
        load_plan(Path("no.yaml"), DatasetPlan)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_plan_that_comes_with_the_factory_is_read_without_its_models(path: Path) -> None:
    types: dict[str, type[BaseModel]] = {
        "pretrain": PretrainPlan,
        "evaluate": EvaluatePlan,
        "tasks": EvaluatePlan,
        "study": StudyPlan,
        "full": StudyPlan,
        "calibrate": CalibratePlan,
        "finetune": FinetunePlan,
    }
    named = (types[word] for word in path.stem.replace("-", "_").split("_") if word in types)
    plan_type = next(named, DatasetPlan)
    assert load_study(path) if plan_type is StudyPlan else load_plan(path, plan_type)


def test_changes_take_the_place_of_a_plans_settings() -> None:
    changes = ["writer={kind: grammar}", "painter.image_size_px=64", "target={all: 3}"]
    path = Path("deployments/plans/study1_small.yaml")
    plan, changed = load_plan(path, DatasetPlan), load_plan(path, DatasetPlan, changes)
    assert (plan.writer.kind, changed.writer.kind) == ("vllm", "grammar")
    assert changed.painter.model_dump()["image_size_px"] == 64
    assert changed.target.num_candidates == 3
    assert changed.sampling == plan.sampling


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("writer", "must be FIELD=VALUE, got 'writer'"),
        ("name.first=a", "expected fields in 'name', got 'study1_small'"),
        ("writer={kind", "not YAML"),
        ("unit_sice=4", "unit_sice: no such field"),
    ],
)
def test_change_that_is_none_is_one_line(change: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        load_plan(Path("deployments/plans/study1_small.yaml"), DatasetPlan, [change])
    assert "\n" not in str(caught.value)


def test_plan_survives_a_round_trip_through_json() -> None:
    plan = tiny_plan()
    assert DatasetPlan.model_validate_json(plan.model_dump_json()) == plan


def test_plan_content_leaves_out_name_and_execution() -> None:
    plan = tiny_plan()
    other = plan.model_copy(
        update={
            "name": "other",
            "description": "words",
            "execution": plan.execution.model_copy(update={"num_processes": 7}),
        }
    )
    assert other.content() == plan.content()
    assert plan.model_copy(update={"seed": 4}).content() != plan.content()


def test_plan_form_lists_engines_of_every_seam() -> None:
    properties = DatasetPlan.model_json_schema()["properties"]
    assert [form["title"] for form in properties["painter"]["oneOf"]] == ["diffusers", "phantom"]
    assert "description" in properties["unit_size"]
