"""What a study costs, from its plan alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli import app
from flows.operations_table import Rates, named_rates, operations_dict, operations_text
from flows.plan_files import parse_plan
from flows.study_files import load_study
from flows.study_operations import Row, StudyOperations, study_operations
from flows.study_plans import StudyPlan
from flows.study_work import study_work
from models.studies.evaluation_operations import seeing_operations
from tests.flows.test_study import MODEL, study_settings

PLANS = Path("deployments/plans")
LABELS = {"kind": "corpus", "corpus": "nih"}
NIH: dict[str, Any] = {"name": "nih", "kind": "nih", "source": "${NOT_SET_HERE}/nih"}
FOUND = StudyOperations(
    (Row("train a", 10, "steps", 7_200), Row("paint b", 2, "images", 0)), ("c",)
)


def _operations(root: Path, **changes: Any) -> StudyOperations:
    plan = parse_plan(study_settings(**changes), StudyPlan, "study.yaml")
    return study_operations(study_work(plan, str(root)))


def test_operations_are_of_every_cell_step_and_image(tmp_path: Path) -> None:
    found = _operations(tmp_path)
    train, measure = found.rows
    assert (train.what, train.count, train.unit) == ("train convirt", 4 * 3, "steps")
    assert (measure.what, measure.count) == ("measure convirt: zero_shot", 4)
    tower = parse_plan(study_settings(), StudyPlan, "").algorithms[0].model.image_tower
    assert measure.each == 30 * seeing_operations(tower)
    assert found.in_all == train.in_all + measure.in_all
    assert found.not_counted == ()
    assert not list(tmp_path.iterdir()), "an estimate writes nothing"


def test_images_of_a_corpus_are_those_the_plan_says_until_it_is_here(tmp_path: Path) -> None:
    evaluation = {
        "sets": [{"kind": "corpus", "name": "nih", "corpus": "nih"}],
        "tasks": [{"kind": "linear_probe", "name": "nih", "labels": LABELS}],
    }
    numbers = {"train": 50, "validation": 7, "test": 11}
    said = _operations(
        tmp_path, evaluation=evaluation, corpora=[NIH | {"num_images": numbers}], seeds=[0]
    )
    each = {row.what: row.each for row in said.rows}
    tower = parse_plan(study_settings(), StudyPlan, "").algorithms[0].model.image_tower
    assert each["measure convirt: zero_shot"] == 11 * seeing_operations(tower)
    assert each["measure convirt: linear_probe"] == 68 * seeing_operations(tower)

    unsaid = _operations(tmp_path, evaluation=evaluation, corpora=[NIH], seeds=[0])
    assert [row.what for row in unsaid.rows] == ["train convirt"]
    assert [line.split(":")[0] for line in unsaid.not_counted] == [
        "zero_shot/nih",
        "linear_probe/nih",
    ]


def test_what_cannot_be_counted_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    absent = MODEL | {"text_tower": {"name": "hf/./weights/none"}}
    found = _operations(
        tmp_path,
        algorithms=[{"name": "convirt", "model": absent}],
        evaluation={"tasks": [{"kind": "grounding"}]},
    )
    (train,) = found.rows
    assert train.each > 0
    reasons = {line.split(":")[0]: line for line in found.not_counted}
    assert set(reasons) == {"text tower of convirt", "loss of convirt", "grounding/phantoms"}
    assert "compares no regions" in reasons["grounding/phantoms"]
    assert not any("\n" in line for line in reasons.values())


@pytest.mark.parametrize("name", ["study1_full", "study2_full"])
def test_full_studies_name_the_size_of_every_corpus_they_measure_on(name: str) -> None:
    plan = load_study(PLANS / f"{name}.yaml")
    measured = {one.name for one in plan.corpora if one.num_images is not None}
    asked = set(plan.named_corpora()) - {"mimic"}
    assert asked <= measured
    assert {one.name for one in plan.datasets} == set(plan.named_datasets())


def test_hours_and_prices_are_only_of_rates_that_were_named() -> None:
    plain = operations_text(FOUND, None)
    assert "hours" not in plain
    assert "not counted: c" in plain
    assert "7.2e+04" in plain
    priced = operations_text(FOUND, Rates(2.0, 3.0))
    assert "10.0   30.0" in priced
    assert operations_dict(FOUND, Rates(2.0))["hours"] == 10
    assert "hours" not in operations_dict(FOUND, None)


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ((None, 2.0), "--price-per-hour needs --flops-per-second"),
        ((0.0, None), "--flops-per-second must be a number above 0, got 0"),
        ((float("nan"), None), "above 0, got nan"),
    ],
)
def test_rates_that_are_none_are_one_line(
    rates: tuple[float | None, float | None], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        named_rates(*rates)


def test_command_estimates_without_data_and_asks_rates_of_an_estimate_alone(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study_settings(corpora=[NIH])))
    command = ["study", str(file), "--root", str(tmp_path / "root")]
    done = CliRunner().invoke(
        app, [*command, "--estimate", "--flops-per-second", "1e9", "--json"], catch_exceptions=False
    )
    found = json.loads(done.stdout)
    assert found["corpora_to_bring"] == ["nih"]
    operations = found["operations"]
    assert operations["hours"] == pytest.approx(operations["flop"] / 1e9 / 3600)
    refused = CliRunner().invoke(app, [*command, "--price-per-hour", "2"])
    assert "go with --estimate" in str(refused.exception)
