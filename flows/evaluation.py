"""Evaluate a trained run, zero-shot, on sets whose truth is known or labelled."""

from typing import Any

from prefect import flow

from flows.training_plans import CorpusSet, EvaluatePlan, EvaluationSet
from models.downstream.labelled_images import LabelledImages
from tasks.artifacts import show_zero_shot
from tasks.evaluation import measure_zero_shot, paint_phantom_set, read_corpus_set


@flow(name="evaluate", flow_run_name="evaluate {plan.run}")
def evaluate(plan: EvaluatePlan, root: str = "./factory") -> dict[str, Any]:
    """Measure a run's zero-shot classification on every set of the plan.

    Args:
        plan: Which run, on what, asked how.
        root: Folder or s3://bucket/prefix that holds the run.
    """
    results = {}
    for planned in plan.sets:
        labelled = _open_set(planned, root)
        results[planned.name] = measure_zero_shot(root, plan.run, labelled, plan.zero_shot)
    show_zero_shot(plan.run, results)
    return results


def _open_set(planned: EvaluationSet, root: str) -> LabelledImages:
    if isinstance(planned, CorpusSet):
        return read_corpus_set(planned.name, root, planned.corpus, planned.split)
    return paint_phantom_set(planned.name, planned.painter, planned.num_images, planned.seed)
