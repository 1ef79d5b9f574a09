"""Means over seeds of figures that are no AUROC, and differences between arms, with intervals.

Drawn as AUROCs are (`resampling.py`): patients by the draws that every cell kept of its figures,
which are the same draws for all cells, and seeds beside them. Nothing is tested here; `judging.py`
tests what a plan named.

Shape suffixes: R resamples, S seeds.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.downstream.metrics import CONFIDENCE, Interval, percentile_interval
from models.studies.resampling import seed_distances
from models.studies.results import MeasuredFigure, StudyResults


@dataclass(frozen=True, slots=True)
class FigurePlace:
    """Where a figure belongs."""

    algorithm: str
    task: str
    metric: str


@dataclass(frozen=True, slots=True)
class FigureMean:
    """A figure of an arm, or an arm's less the reference's, over seeds.

    Attributes:
        seeds: Those in which it is defined; of a difference, on both sides.
        draws_R: The same in every resample of patients and seeds; None where cells kept no draws.
    """

    arm: str
    place: FigurePlace
    seeds: tuple[int, ...]
    value: float
    draws_R: NDArray[np.float64] | None = field(repr=False, compare=False)

    @property
    def interval(self) -> Interval | None:
        """95 % over patients and seeds; None without draws."""
        return None if self.draws_R is None else percentile_interval(self.draws_R, CONFIDENCE)


_BySeed = Mapping[int, MeasuredFigure]


def figure_means(results: StudyResults) -> Iterator[FigureMean]:
    """Every figure of every arm that has it."""
    for place, of_arms in _by_place(results).items():
        for arm, of_seeds in of_arms.items():
            seeds = tuple(sorted(of_seeds))
            yield _mean(arm, place, seeds, [of_seeds[seed] for seed in seeds], None)


def figure_differences(results: StudyResults) -> Iterator[FigureMean]:
    """Every figure of every other arm less the reference's, over the seeds that both have."""
    for place, of_arms in _by_place(results).items():
        reference = of_arms.get(results.arms[0], {})
        for arm, of_seeds in of_arms.items():
            seeds = tuple(sorted(of_seeds.keys() & reference.keys()))
            if seeds and arm != results.arms[0]:
                both = [of_seeds[seed] for seed in seeds], [reference[seed] for seed in seeds]
                yield _mean(arm, place, seeds, *both)


def _by_place(results: StudyResults) -> dict[FigurePlace, dict[str, _BySeed]]:
    """Defined figures, by place, arm and seed, in the order of the plan."""
    found: dict[FigurePlace, dict[str, dict[int, MeasuredFigure]]] = defaultdict(dict)
    for arm in results.arms:
        for one in results.figures:
            if one.cell.arm == arm and one.value is not None:
                place = FigurePlace(one.cell.algorithm, one.task, one.metric)
                found[place].setdefault(arm, {})[one.cell.seed] = one
    return {place: dict(of_arms) for place, of_arms in found.items()}


def _mean(
    arm: str,
    place: FigurePlace,
    seeds: tuple[int, ...],
    figures: Sequence[MeasuredFigure],
    others: Sequence[MeasuredFigure] | None,
) -> FigureMean:
    """Over seeds, of figures, or of figures less others."""
    values_S, draws_SR = _values(figures), _draws(figures)
    if others is not None:
        values_S = values_S - _values(others)
        draws_SR = _less(draws_SR, _draws(others))
    value = float(values_S.mean())
    if draws_SR is None:
        return FigureMean(arm, place, seeds, value, None)
    draws_R = draws_SR.mean(axis=0) + seed_distances(values_S, draws_SR.shape[1])
    return FigureMean(arm, place, seeds, value, draws_R)


def _less(
    one_SR: NDArray[np.float64] | None, other_SR: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    if one_SR is None or other_SR is None or one_SR.shape != other_SR.shape:
        return None
    return one_SR - other_SR


def _values(figures: Sequence[MeasuredFigure]) -> NDArray[np.float64]:
    return np.array([one.value for one in figures], np.float64)


def _draws(figures: Sequence[MeasuredFigure]) -> NDArray[np.float64] | None:
    """Of every seed, (S, R); None where one has none."""
    draws = [one.draws_R for one in figures if one.draws_R is not None]
    alike = len(draws) == len(figures) and len({len(one) for one in draws}) == 1
    return np.stack(draws) if alike else None
