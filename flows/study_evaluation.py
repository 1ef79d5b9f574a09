"""What a cell's model is measured by: all that its study names, but for what it cannot do.

Algorithms of one study differ in what they can do: ConVIRT compares no regions, a ViT has no
stages. Such a task is left out of those cells, with its reason in the report; were it to fail them,
a study could not measure GLoRIA's grounding beside ConVIRT's classification.
"""

from dataclasses import dataclass

from flows.downstream_plans import DetectionTask, DownstreamTask, GroundingTask, SegmentationTask
from flows.study_plans import StudyEvaluation
from flows.training_plans import EvaluatePlan
from models.studies.results import EVERY_METRIC, Cell, MeasuredFigure
from tasks.dense import require_stages
from tasks.downstream import require_maps


@dataclass(frozen=True, slots=True)
class CellEvaluation:
    """What to measure, and a figure without value for each task that is left out."""

    plan: EvaluatePlan
    left_out: tuple[MeasuredFigure, ...]


def cell_evaluation(evaluation: StudyEvaluation, cell: Cell, run: str, root: str) -> CellEvaluation:
    """What a cell's run is measured by.

    Raises:
        ValueError: If its model can do nothing of what the study measures; says why.
    """
    reasons = [(task, _unable(task, run, root)) for task in evaluation.tasks]
    able = tuple(task for task, reason in reasons if reason is None)
    left_out = tuple(
        MeasuredFigure(cell, f"{task.kind}/{task.name}", EVERY_METRIC, None, reason=reason)
        for task, reason in reasons
        if reason is not None
    )
    if not able and not evaluation.sets:
        raise ValueError(left_out[0].reason)
    return CellEvaluation(evaluation.model_copy(update={"tasks": able}).of_run(run), left_out)


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
