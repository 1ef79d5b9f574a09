"""What the cells of a study found: all that its statistics and its report are made from.

A cell is one training: an arm (what it was trained on), an algorithm and a seed. Every cell of a
study is measured on the same images, so cells compare image by image.

Shape suffixes: N images, F findings, R resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

EVERY_METRIC = "every figure"  # of a task that a model cannot be measured by at all


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One training of a study; `arm` and `algorithm` are names of its plan."""

    arm: str
    algorithm: str
    seed: int

    @property
    def name(self) -> str:
        """For folders and run names."""
        return f"{self.arm}-{self.algorithm}-s{self.seed}"


@dataclass(frozen=True, slots=True)
class ScoredSet:
    """How one cell scored the images of one task.

    Attributes:
        task: Name of the task: kind and set, such as `zero_shot/nih`.
        findings: Columns of labels and scores.
        labels_NF: 1 present, 0 absent, -1 unknown (left out).
        scores_NF: Higher means more likely present; a column of NaN where there are none.
        patients: Of each image; what the bootstrap draws.
        views: Projection of each image ("PA"); empty where not known.
    """

    cell: Cell
    task: str
    findings: tuple[str, ...]
    labels_NF: NDArray[np.int8]
    scores_NF: NDArray[np.float64]
    patients: tuple[str, ...]
    views: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """A figure that is no mean of per-image AUROCs: Dice, recall, mAP.

    Attributes:
        metric: Its name; `EVERY_METRIC` where the reason is that of all of the task's.
        value: None where it is undefined; `reason` then says why.
        interval: 95 % over patients, where the task states one.
        draws_R: In every resample of patients, the same for all cells; None where not kept.
    """

    cell: Cell
    task: str
    metric: str
    value: float | None
    interval: tuple[float, float] | None = None
    reason: str | None = None
    draws_R: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class JudgedFigure:
    """A figure that is no AUROC and on which the study's verdicts rest too.

    Attributes:
        task: As of a `MeasuredFigure`.
        metric: Likewise; the higher the better.
        margin: A difference in it that does not matter; None: nothing is said of equivalence.
    """

    task: str
    metric: str
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class LossCurve:
    """Loss of a training by step: both of one length."""

    cell: Cell
    steps: tuple[int, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FailedCell:
    """A cell without results, and the one line that says why."""

    cell: Cell
    reason: str


@dataclass(frozen=True, slots=True)
class StudyResults:
    """All that a study found.

    Attributes:
        name: The study's.
        arms: In the order of the plan; the first is the reference that others are compared with.
        algorithms: In the order of the plan.
        seeds: Of the trainings.
        held_equal: What all cells share (steps, batch, towers), as names and values for people.
        how_made: A line for each arm: its data and how many pairs.
        training_counts: For each arm, how many training pairs speak of each finding as present.
        cannot_show: Limits of the study, a line each, from its plan.
        judged: Chosen before the study; their comparisons are corrected together with AUROC's.
    """

    name: str
    arms: tuple[str, ...]
    algorithms: tuple[str, ...]
    seeds: tuple[int, ...]
    scored: tuple[ScoredSet, ...] = ()
    figures: tuple[MeasuredFigure, ...] = ()
    curves: tuple[LossCurve, ...] = ()
    failed: tuple[FailedCell, ...] = ()
    held_equal: Mapping[str, str] = field(default_factory=dict)
    how_made: Mapping[str, str] = field(default_factory=dict)
    training_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    cannot_show: tuple[str, ...] = ()
    judged: tuple[JudgedFigure, ...] = ()
