"""The report's figures as tables, a file each: long rows, plain numbers, empty where undefined."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from models.downstream.metrics import Interval
from models.studies.analysis import Analysis, Difference
from models.studies.estimates import Place
from models.studies.figure_means import figure_differences
from models.studies.judging import JudgedDifference
from models.studies.results import StudyResults

Value = str | int | float | None
_PLACE = ("algorithm", "task", "projection")


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows, and the name of their file without its ending."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def csv(self) -> bytes:
        """As a file: UTF-8, a header line."""
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return target.getvalue().encode()


def study_tables(results: StudyResults, analysis: Analysis) -> list[Table]:
    """Every table of a study."""
    return [
        _cells(analysis),
        _arms(analysis),
        _differences(analysis),
        _findings(results, analysis),
        _trends(analysis),
        _left_out(analysis),
        _curves(results),
        _figures(results),
        _figure_differences(results, analysis),
        _failed(results),
    ]


def _cells(analysis: Analysis) -> Table:
    return Table(
        "cells",
        ("arm", "algorithm", "seed", "task", "projection", "macro_auroc", "low", "high"),
        [
            (
                *(of.arm, of.algorithm, of.seed, one.place.task, one.place.view),
                *(one.value, *_bounds(one.interval)),
            )
            for one in analysis.cells
            for of in (one.cell,)
        ],
    )


def _arms(analysis: Analysis) -> Table:
    return Table(
        "arms",
        ("arm", *_PLACE, "num_seeds", "macro_auroc", "low", "high"),
        [
            (one.arm, *_place(one.place), len(one.seeds), one.value, *_bounds(one.interval))
            for one in analysis.arms
        ],
    )


def _differences(analysis: Analysis) -> Table:
    rows: list[tuple[Value, ...]] = []
    for one in analysis.differences:
        found, start = one.found, (one.arm, analysis.reference, *_place(one.place), len(one.seeds))
        if found is None:
            rows.append((*start, *(None,) * 5, one.verdict, one.reason, *(None,) * 4))
            continue
        judged = (found.p_value, found.corrected_p, one.verdict) if one.judged else (None,) * 3
        rows.append((*start, found.value, *_bounds(found.interval), *judged, None, *_common(one)))
    names = (
        *("difference", "low", "high", "p", "corrected_p", "verdict", "reason"),
        *("num_common_findings", "common_difference", "common_low", "common_high"),
    )
    return Table("differences", ("arm", "reference", *_PLACE, "num_seeds", *names), rows)


def _common(one: Difference) -> tuple[Value, ...]:
    of = one.common
    return (of.num_findings, of.value, *_bounds(of.interval)) if of else (None,) * 4


def _findings(results: StudyResults, analysis: Analysis) -> Table:
    seen = results.training_counts
    return Table(
        "findings",
        (
            *("arm", "reference", *_PLACE, "finding", "positives", "negatives"),
            *("training_pairs", "reference_training_pairs"),
            *("auroc", "reference_auroc", "difference", "low", "high"),
        ),
        [
            (
                *(one.arm, analysis.reference, *_place(one.place), one.finding),
                *(one.num_positives, one.num_negatives),
                *(seen.get(arm, {}).get(one.finding) for arm in (one.arm, analysis.reference)),
                *(one.auroc, one.reference_auroc, one.difference, *_bounds(one.interval)),
            )
            for one in analysis.findings
        ],
    )


def _trends(analysis: Analysis) -> Table:
    return Table(
        "long_tail",
        ("arm", *_PLACE, "figure", "num_findings", "spearman", "low", "high", "reason"),
        [
            (
                *(one.arm, *_place(one.place), one.figure, one.num_findings, one.correlation),
                *(*_bounds(one.interval), one.reason),
            )
            for one in analysis.trends
        ],
    )


def _left_out(analysis: Analysis) -> Table:
    return Table(
        "left_out",
        (*_PLACE, "finding", "reason"),
        [
            (*_place(one.place), finding, reason)
            for one in analysis.groups
            for finding, reason in one.left_out.items()
        ],
    )


def _curves(results: StudyResults) -> Table:
    return Table(
        "learning_curves",
        ("arm", "algorithm", "seed", "step", "loss"),
        [
            (one.cell.arm, one.cell.algorithm, one.cell.seed, step, loss)
            for one in results.curves
            for step, loss in zip(one.steps, one.losses, strict=True)
        ],
    )


def _figures(results: StudyResults) -> Table:
    return Table(
        "figures",
        ("arm", "algorithm", "seed", "task", "metric", "value", "low", "high", "reason"),
        [
            (
                *(one.cell.arm, one.cell.algorithm, one.cell.seed, one.task, one.metric),
                *(one.value, *(one.interval or (None, None)), one.reason),
            )
            for one in results.figures
        ],
    )


def _figure_differences(results: StudyResults, analysis: Analysis) -> Table:
    """Of every figure; where some are judged, with what was found of those."""
    judged = {(one.place, one.arm): one for one in analysis.judged}
    measured = {(one.place, one.arm): one for one in figure_differences(results)}
    names = ("p", "corrected_p", "verdict", "reason") if judged else ()
    rows: list[tuple[Value, ...]] = []
    for of in dict.fromkeys((*measured, *judged)):
        (place, arm), one = of, measured.get(of)
        found = (one.value, *_bounds(one.interval)) if one else (None,) * 3
        start = (arm, analysis.reference, place.algorithm, place.task, place.metric)
        num_seeds = len(one.seeds) if one else 0
        judgement = _judgement(judged.get(of)) if judged else ()
        rows.append((*start, num_seeds, *found, *judgement))
    columns = ("arm", "reference", "algorithm", "task", "metric", "num_seeds")
    return Table("figure_differences", (*columns, "difference", "low", "high", *names), rows)


def _judgement(one: JudgedDifference | None) -> tuple[Value, ...]:
    """P-values, verdict and reason; nothing of what is not judged."""
    if one is None:
        return (None,) * 4
    p_values = (one.found.p_value, one.found.corrected_p) if one.found else (None, None)
    return (*p_values, one.verdict, one.reason)


def _failed(results: StudyResults) -> Table:
    return Table(
        "failed",
        ("arm", "algorithm", "seed", "reason"),
        [
            (*(of.arm, of.algorithm, of.seed), one.reason)
            for one in results.failed
            for of in (one.cell,)
        ],
    )


def _place(place: Place) -> tuple[str, str, str]:
    return place.algorithm, place.task, place.view


def _bounds(interval: Interval | None) -> tuple[float | None, float | None]:
    return (interval.low, interval.high) if interval else (None, None)
