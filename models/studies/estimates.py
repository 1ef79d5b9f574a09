"""Means over seeds and differences between arms, with their intervals, from AUROCs of cells.

Shape suffixes: F findings, R resamples, S seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.downstream.metrics import CONFIDENCE, Interval, percentile_interval
from models.studies.resampling import seed_distances
from models.studies.results import Cell
from models.studies.scored_tasks import ALL_VIEWS, CellAurocs, ViewOfTask


@dataclass(frozen=True, slots=True)
class Place:
    """Where a figure belongs: an algorithm, a task and a projection of its images."""

    algorithm: str
    task: str
    view: str = ALL_VIEWS


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of one or two arms.

    Attributes:
        value: Mean over seeds.
        draws_R: The same in every resample of patients and seeds; NaN where it is undefined.
    """

    value: float
    draws_R: NDArray[np.float64] = field(repr=False)

    @property
    def interval(self) -> Interval | None:
        """95 %, over patients and seeds."""
        return percentile_interval(self.draws_R, CONFIDENCE)

    @property
    def share_interval(self) -> Interval | None:
        """The same for a figure between 0 and 1, beyond which no interval is stated."""
        if (found := self.interval) is None:
            return None
        low, high = np.clip((found.low, found.high), 0, 1)
        return Interval(float(low), float(high), found.num_resamples)


@dataclass(frozen=True, slots=True)
class Group:
    """One algorithm in one view of one task: what its arms are compared on.

    Attributes:
        findings: Those with an AUROC in every cell; all arms are compared on them and no others.
        seeds: Of each arm that was measured, in order.
        left_out: The other findings, and why.
    """

    of: ViewOfTask
    algorithm: str
    findings: tuple[str, ...]
    seeds: Mapping[str, tuple[int, ...]]
    left_out: Mapping[str, str]

    @property
    def place(self) -> Place:
        """Where its figures belong."""
        return Place(self.algorithm, self.of.task, self.of.view)

    def mean(self, arm: str, findings: Sequence[str]) -> Estimate:
        """Mean AUROC of an arm over findings and its seeds."""
        return self._over_seeds(self._cells(arm, self.seeds[arm]), findings)

    def difference(self, arm: str, reference: str, findings: Sequence[str]) -> Estimate:
        """Mean AUROC of an arm less that of the reference, seed by seed and draw by draw."""
        seeds = self.shared_seeds(arm, reference)
        pairs = zip(self._cells(arm, seeds), self._cells(reference, seeds), strict=True)
        return self._over_seeds([_less(one, other) for one, other in pairs], findings)

    def shared_seeds(self, arm: str, reference: str) -> tuple[int, ...]:
        """Seeds with which both were trained and measured."""
        others = self.seeds.get(reference, ())
        return tuple(seed for seed in self.seeds.get(arm, ()) if seed in others)

    def _cells(self, arm: str, seeds: Sequence[int]) -> list[CellAurocs]:
        return [self.of.cells[Cell(arm, self.algorithm, seed)] for seed in seeds]

    def _over_seeds(self, cells: Sequence[CellAurocs], findings: Sequence[str]) -> Estimate:
        columns = [self.of.findings.index(finding) for finding in findings]
        measured_S = np.array([cell.measured_F[columns].mean() for cell in cells])
        drawn_RS = np.stack([_known_mean(cell.resampled_RF[:, columns]) for cell in cells], axis=1)
        draws_R = drawn_RS.mean(axis=1) + seed_distances(measured_S, len(drawn_RS))
        return Estimate(float(measured_S.mean()), draws_R)


def group(of: ViewOfTask, algorithm: str, arms: Sequence[str]) -> Group:
    """What the arms of an algorithm can be compared on.

    A cell without any AUROC counts as not measured; of the others, a finding must have one in all.
    """
    cells = {
        cell: aurocs
        for cell, aurocs in of.cells.items()
        if cell.algorithm == algorithm and np.isfinite(aurocs.measured_F).any()
    }
    left_out, findings = dict(of.lacking), []
    for column, finding in enumerate(of.findings):
        if finding in left_out:
            continue
        unscored = [name.name for name, one in cells.items() if np.isnan(one.measured_F[column])]
        if unscored:
            whom = "any training" if len(unscored) == len(cells) else ", ".join(unscored)
            left_out[finding] = f"no score from {whom}"
        elif cells:
            findings.append(finding)
    seeds = {arm: tuple(sorted(cell.seed for cell in cells if cell.arm == arm)) for arm in arms}
    measured = {arm: of_arm for arm, of_arm in seeds.items() if of_arm}
    return Group(of, algorithm, tuple(findings), measured, left_out)


def _less(one: CellAurocs, other: CellAurocs) -> CellAurocs:
    return CellAurocs(one.measured_F - other.measured_F, one.resampled_RF - other.resampled_RF)


def _known_mean(values_RF: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each row over what is known in it; NaN where nothing is, (R,).

    A finding whose few patients were not drawn is left out of that draw, on both sides alike.
    """
    known_RF = np.isfinite(values_RF)
    counts_R = known_RF.sum(axis=1).astype(np.float64)
    counts_R[counts_R == 0] = np.nan
    means_R: NDArray[np.float64] = np.where(known_RF, values_RF, 0).sum(axis=1) / counts_R
    return means_R
