"""Figures that a study judges beside AUROC, chosen in its plan: which it may name.

Which figure of a task counts is for the plan to say, before the study: to look first, and to judge
what differs, would make chance a finding. So it is part of what is locked.
"""

from collections.abc import Sequence

from pydantic import Field

from flows.downstream_plans import (
    DetectionTask,
    DownstreamTask,
    GroundingTask,
    RetrievalTask,
    SegmentationTask,
)
from flows.plans import Plan
from models.studies.results import JudgedFigure


class EndPoint(Plan):
    """A figure of a task that the study's verdicts rest on, beside every AUROC."""

    task: str = Field(
        max_length=128,
        description="One of the evaluation's tasks by kind and name, as segmentation/siim.",
    )
    metric: str = Field(
        max_length=128,
        description="The figure's name in reports, as dice, or 100% of labels, dice where a task "
        "trains on shares of the labels.",
    )
    margin: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Difference in this figure that would not matter to you, fixed before the "
        "study. None: the report says nothing of equivalence.",
    )

    @property
    def figure(self) -> JudgedFigure:
        """For the study's results."""
        return JudgedFigure(self.task, self.metric, self.margin)


def require_judgeable(judged: Sequence[EndPoint], tasks: Sequence[DownstreamTask]) -> None:
    """Refuse a figure that no task measures, or that is no merit of what a cell has learnt.

    Args:
        judged: Of a study's plan.
        tasks: Of its evaluation.

    Raises:
        ValueError: Names the figure, and those that may be judged.
    """
    metrics = {f"{task.kind}/{task.name}": _judgeable(task) for task in tasks}
    for one in judged:
        if one.task not in metrics:
            raise ValueError(
                f"judged figures must be of the evaluation's tasks {sorted(metrics)}, got task "
                f"{one.task!r}; name one of those, or leave it out: zero-shot sets are judged by "
                "AUROC"
            )
        if not (known := metrics[one.task]):
            raise ValueError(
                f"judged figures are those that are no AUROC, got task {one.task!r}, which has no "
                "other; leave it out: AUROC is judged in any study"
            )
        if one.metric not in known:
            raise ValueError(
                f"a judged figure of {one.task!r} must be one that tells models apart and of which "
                f"more is better, {known}, got {one.metric!r}; name one of those"
            )


def _judgeable(task: DownstreamTask) -> list[str]:
    """Names of its figures that may be judged."""
    match task:
        case GroundingTask() | RetrievalTask() | SegmentationTask() | DetectionTask():
            return task.settings.judgeable()
        case _:
            return []
