"""Differences in the figures that a plan named, before the study, to be judged beside AUROC.

Each is a comparison of the study as one of AUROC is: the same p-value of its draws, and one
correction for all of them together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from models.studies.figure_means import FigureMean, FigurePlace, figure_differences
from models.studies.results import EVERY_METRIC, JudgedFigure, MeasuredFigure, StudyResults
from models.studies.significance import Compared, Verdict, compare, verdict


@dataclass(frozen=True, slots=True)
class JudgedDifference:
    """A judged figure of an arm less the reference's.

    Attributes:
        margin: A difference in this figure that does not matter; None: no word of equivalence.
        seeds: Those that both sides have.
        found: None where the sides cannot be compared; `reason` then says why.
    """

    arm: str
    place: FigurePlace
    margin: float | None
    seeds: tuple[int, ...]
    found: Compared | None
    verdict: Verdict = Verdict.NOT_COMPARED
    reason: str | None = None

    def judged_by(self, found: Compared | None) -> "JudgedDifference":
        """The same with its verdict, by the comparison with its corrected p-value."""
        return replace(self, found=found, verdict=verdict(found, self.margin))


def judged_differences(results: StudyResults, num_comparisons: int) -> Iterator[JudgedDifference]:
    """Every judged figure of every other arm and algorithm, not yet corrected or judged.

    Args:
        results: Of all cells.
        num_comparisons: That the study planned.
    """
    measured = {(one.place, one.arm): one for one in figure_differences(results)}
    for figure, algorithm, arm in product(results.judged, results.algorithms, results.arms[1:]):
        place = FigurePlace(algorithm, figure.task, figure.metric)
        if one := measured.get((place, arm)):
            yield _of_both_sides(results, one, figure, num_comparisons)
        else:
            reason = _lacking(results, place, arm)
            yield JudgedDifference(arm, place, figure.margin, (), None, reason=reason)


def _of_both_sides(
    results: StudyResults, one: FigureMean, figure: JudgedFigure, num_comparisons: int
) -> JudgedDifference:
    found = None if one.draws_R is None else compare(one.value, one.draws_R, num_comparisons)
    reason = None
    if one.draws_R is None:
        reason = _without_draws(results, one)
    elif found is None:
        reason = "no draw of patients gives both sides a figure"
    return JudgedDifference(one.arm, one.place, figure.margin, one.seeds, found, reason=reason)


def _without_draws(results: StudyResults, one: FigureMean) -> str:
    """Why a difference has no draws."""
    sides = (one.arm, results.arms[0])
    lacking = [
        figure.cell.name
        for side in sides
        for figure in _figures(results, one.place, side)
        if figure.cell.seed in one.seeds and figure.draws_R is None
    ]
    return f"{', '.join(lacking)} kept no draws of it" if lacking else "cells drew unequally often"


def _lacking(results: StudyResults, place: FigurePlace, arm: str) -> str:
    """Why a figure is not there on both sides."""
    for side in (arm, results.arms[0]):
        figures = _figures(results, place, side)
        if all(one.value is None for one in figures):
            said = dict.fromkeys(one.reason for one in figures if one.reason)
            return "; ".join(said) if said else f"nothing of {side} was measured"
    return "they share no seed"


def _figures(results: StudyResults, place: FigurePlace, arm: str) -> list[MeasuredFigure]:
    return [
        one
        for one in results.figures
        if (one.cell.arm, one.cell.algorithm, one.task) == (arm, place.algorithm, place.task)
        and one.metric in (place.metric, EVERY_METRIC)
    ]
