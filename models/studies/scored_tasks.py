"""What every cell said of the same images, task by task, and the AUROCs of it.

Shape suffixes: N images, F findings, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.downstream.finding_scores import one_class
from models.downstream.metrics import UNKNOWN, auroc
from models.studies.resampling import patient_weights, resampled_auroc
from models.studies.results import Cell, ScoredSet

ALL_VIEWS = "all"


@dataclass(frozen=True, slots=True)
class CellAurocs:
    """AUROC of every finding; NaN where it is undefined.

    Attributes:
        measured_F: On all images.
        resampled_RF: In every resample of patients.
    """

    measured_F: NDArray[np.float64]
    resampled_RF: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ViewOfTask:
    """The images of one projection in one task, or all of them, and every cell's AUROCs there.

    Attributes:
        view: "all" or a projection.
        findings: Columns.
        num_positives: Of each finding.
        num_negatives: Of each finding.
        fewest_patients: With each finding or without it, whichever are fewer.
        num_images: N.
        num_patients: What the bootstrap draws.
        cells: What was measured.
        lacking: Findings that have no AUROC because of the images, and why.
    """

    task: str
    view: str
    findings: tuple[str, ...]
    num_positives: tuple[int, ...]
    num_negatives: tuple[int, ...]
    fewest_patients: tuple[int, ...]
    num_images: int
    num_patients: int
    cells: Mapping[Cell, CellAurocs]
    lacking: Mapping[str, str]


def by_task(scored: Sequence[ScoredSet]) -> dict[str, list[ScoredSet]]:
    """The sets of each task, in order of appearance.

    Raises:
        ValueError: If two sets of a task are of different images, or of one cell.
    """
    tasks: dict[str, list[ScoredSet]] = {}
    for one in scored:
        tasks.setdefault(one.task, []).append(one)
    for task, sets in tasks.items():
        first, cells = sets[0], [one.cell for one in sets]
        if len(set(cells)) < len(cells):
            twice = next(cell for cell in cells if cells.count(cell) > 1)
            raise ValueError(f"{task!r} must be measured once for a cell, got {twice.name} twice")
        for one in sets[1:]:
            if not _same_images(first, one):
                raise ValueError(
                    f"every cell must be measured on the same images of {task!r}, got others for "
                    f"{one.cell.name} than for {first.cell.name}; measure one of them again"
                )
    return tasks


def views_of(one: ScoredSet) -> list[str]:
    """All images together, then each projection if there are several."""
    known = sorted({view for view in one.views if view})
    return [ALL_VIEWS, *known] if len(known) > 1 else [ALL_VIEWS]


def measure_task(sets: Sequence[ScoredSet], num_resamples: int) -> list[ViewOfTask]:
    """AUROCs of all cells in one task, for all images and for each projection.

    Args:
        sets: Of one task, checked by `by_task`.
        num_resamples: R.
    """
    first = sets[0]
    views = np.asarray(first.views)
    everywhere = np.arange(len(first.patients))
    measured = [
        (rows, _as_measured(sets, view, rows, num_resamples))
        for view in views_of(first)
        for rows in [everywhere if view == ALL_VIEWS else np.flatnonzero(views == view)]
    ]
    for chunk, weights_NR in patient_weights(first.patients, num_resamples):
        for rows, view_of_task in measured:
            _resample(sets, view_of_task, rows, chunk, weights_NR[rows])
    return [view_of_task for _, view_of_task in measured]


def _as_measured(
    sets: Sequence[ScoredSet], view: str, rows: NDArray[np.int64], num_resamples: int
) -> ViewOfTask:
    """A view without its resamples."""
    first = sets[0]
    labels_NF = first.labels_NF[rows]
    lacks = [one_class(labels_N) for labels_N in labels_NF.T]
    patients_N = np.asarray(first.patients)[rows]
    return ViewOfTask(
        task=first.task,
        view=view,
        findings=first.findings,
        num_positives=tuple(int(num) for num in (labels_NF == 1).sum(axis=0)),
        num_negatives=tuple(int(num) for num in (labels_NF == 0).sum(axis=0)),
        fewest_patients=tuple(
            min(len(np.unique(patients_N[labels_N == label])) for label in (0, 1))
            for labels_N in labels_NF.T
        ),
        num_images=len(rows),
        num_patients=len(np.unique(patients_N)),
        cells={one.cell: _measure(one, rows, num_resamples) for one in sets},
        lacking={
            finding: f"no image {lack}"
            for finding, lack in zip(first.findings, lacks, strict=True)
            if lack
        },
    )


def _resample(
    sets: Sequence[ScoredSet],
    view: ViewOfTask,
    rows: NDArray[np.int64],
    chunk: slice,
    weights_NR: NDArray[np.float32],
) -> None:
    """Fill in a chunk of resamples; all cells are counted by the same weights."""
    labels_NF = sets[0].labels_NF[rows]
    for column in range(len(view.findings)):
        known = np.flatnonzero(labels_NF[:, column] != UNKNOWN)
        positive_N, known_NR = labels_NF[known, column] == 1, weights_NR[known]
        for one in sets:
            of = view.cells[one.cell]
            if np.isfinite(of.measured_F[column]):
                scores_N = one.scores_NF[rows[known], column]
                of.resampled_RF[chunk, column] = resampled_auroc(scores_N, positive_N, known_NR)


def _measure(one: ScoredSet, rows: NDArray[np.int64], num_resamples: int) -> CellAurocs:
    """AUROCs as measured; the resampled ones still to be filled in."""
    measured = []
    for scores_N, labels_N in zip(one.scores_NF[rows].T, one.labels_NF[rows].T, strict=True):
        known = labels_N != UNKNOWN
        scored = bool(np.isfinite(scores_N[known]).all())
        measured.append(auroc(scores_N[known], labels_N[known] == 1) if scored else np.nan)
    shape = (num_resamples, len(one.findings))
    return CellAurocs(np.array(measured), np.full(shape, np.nan))


def _same_images(one: ScoredSet, other: ScoredSet) -> bool:
    return (
        one.findings == other.findings
        and one.patients == other.patients
        and one.views == other.views
        and np.array_equal(one.labels_NF, other.labels_NF)
    )
