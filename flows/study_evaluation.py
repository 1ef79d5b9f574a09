"""What a cell's model is measured by: all that its study names, but for what it cannot do.

Algorithms of one study differ in what they can do: ConVIRT compares no regions, a ViT has no
stages. Such a task is left out of those cells, with its reason in the report; were it to fail them,
a study could not measure GLoRIA's grounding beside ConVIRT's classification.
"""

from dataclasses import dataclass

from flows.downstream_plans import (
    DetectionTask,
    DownstreamTask,
    FineTuningTask,
    GroundingTask,
    LinearProbeTask,
    SegmentationTask,
)
from flows.study_plans import StudyPlan
from flows.training_plans import EvaluatePlan
from models.studies.resampling import resamples_for
from models.studies.results import EVERY_METRIC, Cell, MeasuredFigure
from tasks.dense import require_stages
from tasks.downstream import require_maps


@dataclass(frozen=True, slots=True)
class CellEvaluation:
    """What to measure, and a figure without value for each task that is left out."""

    plan: EvaluatePlan
    left_out: tuple[MeasuredFigure, ...]


def cell_evaluation(plan: StudyPlan, cell: Cell, run: str, root: str) -> CellEvaluation:
    """What a cell's run is measured by.

    Raises:
        ValueError: If its model can do nothing of what the study measures; says why.
    """
    evaluation = plan.evaluation
    reasons = [(task, _unable(task, run, root)) for task in well_drawn_tasks(plan)]
    able = tuple(task for task, reason in reasons if reason is None)
    left_out = tuple(
        MeasuredFigure(cell, f"{task.kind}/{task.name}", EVERY_METRIC, None, reason=reason)
        for task, reason in reasons
        if reason is not None
    )
    if not able and not evaluation.sets:
        raise ValueError(left_out[0].reason)
    return CellEvaluation(evaluation.model_copy(update={"tasks": able}).of_run(run), left_out)


def well_drawn_tasks(plan: StudyPlan) -> list[DownstreamTask]:
    """The tasks of a study; those with judged figures draw patients often enough for p-values.

    Its smallest p-value must survive the correction for all comparisons of the study, which a
    plan's number of resamples, made for intervals, need not allow.
    """
    judged, least = {one.task for one in plan.judged}, resamples_for(num_comparisons(plan))
    return [
        _drawn(task, least) if f"{task.kind}/{task.name}" in judged else task
        for task in plan.evaluation.tasks
    ]


def num_comparisons(plan: StudyPlan) -> int:
    """That a study plans: of AUROC, in every set and at every share, and of judged figures."""
    num_figures = len(plan.evaluation.sets) + len(plan.judged)
    for task in plan.evaluation.tasks:
        if isinstance(task, LinearProbeTask | FineTuningTask):
            num_figures += len(task.settings.shares)
    return (len(plan.arms) - 1) * len(plan.algorithms) * num_figures


def _drawn(task: DownstreamTask, least: int) -> DownstreamTask:
    num_resamples = max(least, task.settings.num_resamples)
    settings = task.settings.model_copy(update={"num_resamples": num_resamples})
    return task.model_copy(update={"settings": settings})


def _unable(task: DownstreamTask, run: str, root: str) -> str | None:
    """Why a run's model cannot be measured by a task; None if it can."""
    try:
        match task:
            case GroundingTask():
                require_maps.fn(root, run, task.settings)
            case SegmentationTask() | DetectionTask():
                require_stages.fn(root, run)
    except ValueError as error:
        return str(error)
    return None
