"""Figures that a study's plan judges beside AUROC: what it may name, and what that changes."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from flows.demo import PLANS
from flows.plan_files import parse_plan
from flows.study import study, study_results
from flows.study_arms import read_arms
from flows.study_evaluation import num_comparisons, well_drawn_tasks
from flows.study_files import load_study
from flows.study_plans import StudyPlan
from flows.study_work import lock_study, open_study, study_work
from models.studies.analysis import analyse
from models.studies.resampling import resamples_for
from storage.errors import PlanMismatch
from storage.objects import open_store
from tests.flows.test_study import PAINTER, study_settings
from tests.flows.test_study_bad_input import GROUNDING, SEGMENTATION

DICE = {"task": "segmentation/masks", "metric": "100% of labels, dice"}
PROBE = {
    "kind": "linear_probe",
    "name": "phantoms",
    "labels": SEGMENTATION["labels"],
    "settings": {"shares": [0.5, 1.0], "num_resamples": 100},
}
RETRIEVAL = {"kind": "retrieval", "name": "texts", "dataset": "tiny"}
EVALUATION = study_settings()["evaluation"] | {
    "tasks": [GROUNDING, SEGMENTATION, PROBE, RETRIEVAL],
}


def plan_of(*judged: dict[str, Any], **changes: Any) -> StudyPlan:
    settings = study_settings(evaluation=EVALUATION, judged=list(judged), **changes)
    return parse_plan(settings, StudyPlan, "study.yaml")


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        ([{"task": "segmentation/x", "metric": "dice"}], r"got task 'segmentation/x'; name one"),
        (
            [{"task": "zero_shot/phantoms", "metric": "macro"}],
            r"evaluation's tasks \['grounding/phantoms', .*\], got task 'zero_shot/phantoms'",
        ),
        (
            [{"task": "linear_probe/phantoms", "metric": "macro"}],
            "got task 'linear_probe/phantoms', which has no other",
        ),
        ([DICE | {"metric": "dice"}], r"\['100% of labels, dice', .*\], got 'dice'; name one of"),
        ([DICE | {"metric": "100% of labels, untrained dice"}], "one that tells models apart"),
        (
            [{"task": "grounding/phantoms", "metric": "chance pointing game"}],
            r"\['pointing game', 'iou', 'dice', 'pointing game gain'\], got 'chance",
        ),
        (
            [{"task": "retrieval/texts", "metric": "recall@5"}],
            "'image to text, recall@1', .* got 'recall@5'",
        ),
        (
            [DICE, DICE | {"margin": 0.1}],
            "judged figures must differ, got 'segmentation/masks: 100",
        ),
        ([DICE | {"margin": 1}], "less than 1"),
    ],
)
def test_figure_that_cannot_be_judged_is_one_line(judged: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        plan_of(*judged)
    assert "\n" not in str(refused.value)


def test_study_that_judges_no_more_is_locked_as_before_and_one_that_does_to_that(
    tmp_path: Path,
) -> None:
    lock_study(plan_of(), str(tmp_path))
    lock = json.loads((tmp_path / "studies/tiny-study/plan.lock.json").read_text())
    assert "judged" not in lock["plan"], "as in studies from before there was the field"
    assert open_study(str(tmp_path), "tiny-study").plan.judged == ()
    with pytest.raises(PlanMismatch, match="judged: was absent / is "):
        lock_study(plan_of(DICE), str(tmp_path))

    begun = lock_study(plan_of(DICE, name="more"), str(tmp_path))
    again = open_study(str(tmp_path), "more")
    assert again.plan.judged == begun.plan.judged
    assert again.fingerprint == begun.fingerprint
    for other in ([], [DICE | {"margin": 0.1}], [DICE | {"metric": "100% of labels, iou"}]):
        with pytest.raises(PlanMismatch, match="judged"):
            lock_study(plan_of(*other, name="more"), str(tmp_path))


def test_tasks_with_judged_figures_draw_often_enough_for_the_whole_family() -> None:
    seeds, algorithms = [0], [{"name": f"a{k}", "model": _model()} for k in range(16)]
    plan = plan_of(DICE, seeds=seeds, algorithms=algorithms)
    assert num_comparisons(plan) == 16 * (1 + 2 + 1)  # a set, two shares of the probe, Dice
    drawn = {task.kind: task.settings.num_resamples for task in well_drawn_tasks(plan)}
    before = {task.kind: task.settings.num_resamples for task in plan.evaluation.tasks}
    assert drawn == before | {"segmentation": resamples_for(64)}
    assert drawn["segmentation"] == 6400
    assert well_drawn_tasks(plan_of()) == list(plan.evaluation.tasks)


def _model() -> dict[str, Any]:
    model: dict[str, Any] = study_settings()["algorithms"][0]["model"]
    return model


@pytest.mark.parametrize("name", ["study1_full", "study2_full"])
def test_full_studies_judge_the_rows_of_their_tables(name: str) -> None:
    plan = load_study(PLANS / f"{name}.yaml")
    kinds = {"segmentation", "detection", "grounding"}
    rows = {f"{task.kind}/{task.name}" for task in plan.evaluation.tasks if task.kind in kinds}
    assert {one.task for one in plan.judged} == rows
    assert all(task.settings.num_resamples <= 100_000 for task in well_drawn_tasks(plan))


@pytest.mark.server
@pytest.mark.timeout(600)
def test_study_with_a_judged_figure_states_a_verdict_of_it(tmp_path: Path) -> None:
    """Whole: Dice of a real U-Net, drawn in each cell as often as the study's family needs."""
    few = {"kind": "phantoms", "num_images": 20, "painter": PAINTER}
    evaluation = {
        "sets": [few],
        "zero_shot": {"num_resamples": 100},
        "tasks": [SEGMENTATION],
    }
    settings = study_settings(evaluation=evaluation, judged=[DICE], seeds=[0])
    plan = parse_plan(settings, StudyPlan, "study.yaml")
    root = str(tmp_path)
    outcome = study(plan, root)
    assert outcome.failed == ()
    (verdict,) = outcome.verdicts
    assert verdict.startswith("few: ") and " of 2 comparisons." in verdict

    work = study_work(plan, root)
    analysis = analyse(study_results(work, read_arms(work)))
    (judged,) = analysis.judged
    assert judged.found and judged.found.num_draws == analysis.num_resamples == 2000
    assert analysis.num_comparisons == num_comparisons(plan) == 2
    with (tmp_path / "studies/tiny-study/figure_differences.csv").open() as file:
        found = {row["metric"]: row for row in csv.DictReader(file)}
    assert found[DICE["metric"]]["verdict"] == judged.verdict
    assert float(found[DICE["metric"]]["corrected_p"]) == judged.found.corrected_p
    assert found["100% of labels, iou"]["verdict"] == ""
    assert open_store(root).exists("studies/tiny-study/verdict.txt")
