"""Evaluate a trained run on sets whose truth is known or labelled."""

from typing import Any

from prefect import flow

from flows.downstream import measure_task, show
from flows.training_plans import CorpusSet, EvaluatePlan, EvaluationSet
from models.downstream.labelled_images import LabelledImages
from tasks.evaluation import measure_zero_shot, paint_phantom_set, read_corpus_set


@flow(name="evaluate", flow_run_name="evaluate {plan.run}")
def evaluate(plan: EvaluatePlan, root: str = "./factory") -> dict[str, dict[str, Any]]:
    """Measure a run's zero-shot classification on every set of the plan, then its other tasks.

    Args:
        plan: Which run, on what, asked how.
        root: Folder or s3://bucket/prefix that holds the run.

    Returns:
        What was measured by kind (`zero_shot` and those of the tasks) and name, as in
        `metrics.json`.
    """
    results: dict[str, dict[str, Any]] = {}
    for planned in plan.sets:
        labelled = _open_set(planned, plan.run, root)
        measured = measure_zero_shot(root, plan.run, labelled, plan.zero_shot)
        results.setdefault("zero_shot", {})[planned.name] = measured
    for task in plan.tasks:
        results.setdefault(task.kind, {})[task.name] = measure_task(task, plan.run, root)
    for kind, of_kind in results.items():
        show(plan.run, kind, of_kind)
    return results


def _open_set(planned: EvaluationSet, run: str, root: str) -> LabelledImages:
    if isinstance(planned, CorpusSet):
        return read_corpus_set(
            planned.name, root, run, planned.corpus, planned.split, planned.label_list
        )
    return paint_phantom_set(planned.name, planned.painter, planned.num_images, planned.seed)
