"""The report's tables of figures that are no AUROC: Dice, mAP, recall."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

from models.studies.analysis import Analysis
from models.studies.figure_means import FigureMean, FigurePlace, figure_differences, figure_means
from models.studies.judging import JudgedDifference
from models.studies.results import MeasuredFigure, StudyResults
from models.studies.sections import Grid
from models.studies.significance import Verdict
from models.studies.wording import (
    count_words,
    difference_words,
    figure_place_words,
    figure_words,
    p_words,
)


def figure_grid(results: StudyResults, analysis: Analysis) -> Grid | None:
    """Means over seeds, their intervals and what was shown, or why there is none.

    None if there are no figures.
    """
    shown = {
        (one.place, one.arm): f" · {one.verdict}"
        for one in analysis.judged
        if one.verdict in (Verdict.BETTER, Verdict.WORSE)
    }
    means = {(one.place, one.arm): one for one in figure_means(results)}
    of: dict[tuple[FigurePlace, str], list[MeasuredFigure]] = defaultdict(list)
    for one in results.figures:
        of[FigurePlace(one.cell.algorithm, one.task, one.metric), one.cell.arm].append(one)
    rows = [
        [
            f"{task}: {metric}",
            algorithm,
            *(
                _mean_words(means.get((place, arm)), of[place, arm]) + shown.get((place, arm), "")
                for arm in results.arms
            ),
        ]
        for (task, metric), algorithm in product(_kinds(results), results.algorithms)
        for place in [FigurePlace(algorithm, task, metric)]
        if any(of[place, arm] for arm in results.arms)
    ]
    return Grid(["figure", "algorithm", *results.arms], rows, "figures") if rows else None


def figure_difference_grid(results: StudyResults) -> Grid | None:
    """Every arm less the reference, paired; None if nothing can be compared."""
    words = {
        (one.place, one.arm): difference_words(one.value, one.interval) + _seeds_words(results, one)
        for one in figure_differences(results)
    }
    others = results.arms[1:]
    rows = [
        [f"{task}: {metric}", algorithm, *(words.get((place, arm), "–") for arm in others)]
        for (task, metric), algorithm in product(_kinds(results), results.algorithms)
        for place in [FigurePlace(algorithm, task, metric)]
        if any((place, arm) in words for arm in others)
    ]
    columns = ["figure", "algorithm", *(f"{arm} less {results.arms[0]}" for arm in others)]
    return Grid(columns, rows, "figure_differences") if rows else None


def judged_grid(analysis: Analysis) -> Grid | None:
    """Every comparison of a judged figure: p-values and verdict; None if none is judged."""
    rows = [
        [
            *(one.arm, figure_place_words(one.place), _difference_words(one)),
            p_words(one.found.p_value if one.found else None),
            p_words(one.found.corrected_p if one.found else None),
            str(one.verdict),
        ]
        for one in analysis.judged
    ]
    columns = ["arm", "task: figure, algorithm", "difference (95 %)"]
    columns += ["p", "corrected p", "verdict"]
    return Grid(columns, rows, "figure_differences") if rows else None


def _difference_words(one: JudgedDifference) -> str:
    if one.found is None:
        return f"none: {one.reason}"
    return difference_words(one.found.value, one.found.interval)


def _kinds(results: StudyResults) -> dict[tuple[str, str], None]:
    return dict.fromkeys((one.task, one.metric) for one in results.figures)


def _mean_words(mean: FigureMean | None, figures: Sequence[MeasuredFigure]) -> str:
    if mean is not None:
        return f"{figure_words(mean.value, mean.interval)}, {count_words(len(mean.seeds), 'seed')}"
    reasons = dict.fromkeys(one.reason for one in figures if one.reason)
    return f"undefined: {'; '.join(reasons)}" if reasons else "–"


def _seeds_words(results: StudyResults, one: FigureMean) -> str:
    few = len(one.seeds) < len(results.seeds)
    return f", {count_words(len(one.seeds), 'seed')}" if few else ""
