"""The report's tables as people read them: figures with their intervals in words.

The same grids stand in the page and in the Markdown; `tables.py` has the plain numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.studies.analysis import Analysis, ArmScore, CommonDifference, Difference, GroupFacts
from models.studies.estimates import Place
from models.studies.results import StudyResults
from models.studies.scored_tasks import ALL_VIEWS
from models.studies.significance import Verdict
from models.studies.wording import (
    cell_words,
    count_words,
    difference_words,
    figure_words,
    finding_words,
    p_words,
    place_words,
    seed_words,
)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table in words; the first cell of a row names it."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    table: str  # the file with its plain numbers


def arm_grids(results: StudyResults, analysis: Analysis) -> list[tuple[str, Grid]]:
    """For each algorithm, rows arms, columns tasks: macro AUROC over seeds, and what was shown."""
    shown = {
        (one.arm, one.place): f" · {one.verdict}"
        for one in analysis.differences
        if one.verdict in (Verdict.BETTER, Verdict.WORSE)
    }
    words = {
        (one.arm, one.place): _score_words(results, one) + shown.get((one.arm, one.place), "")
        for one in analysis.arms
    }
    tasks = list(dict.fromkeys(one.place.task for one in analysis.groups))
    return [
        (
            algorithm,
            Grid(
                ["arm", *tasks],
                [
                    [
                        f"{arm} (reference)" if arm == analysis.reference else arm,
                        *(words[arm, Place(algorithm, task)] for task in tasks),
                    ]
                    for arm in results.arms
                ],
                "arms",
            ),
        )
        for algorithm in results.algorithms
        if tasks
    ]


def difference_grid(analysis: Analysis) -> Grid:
    """Every comparison of the study: difference, p-values, verdict."""
    judged = [one for one in analysis.differences if one.judged]
    some_rare = any(one.common for one in judged)
    return Grid(
        [
            *("arm", "task, algorithm", "difference (95 %)", "p", "corrected p", "verdict"),
            *(["without rare findings (95 %)"] if some_rare else []),
        ],
        [
            [
                *(one.arm, place_words(one.place), _difference_words(one)),
                p_words(one.found.p_value if one.found else None),
                p_words(one.found.corrected_p if one.found else None),
                str(one.verdict),
                *([_common_words(one.common)] if some_rare else []),
            ]
            for one in judged
        ],
        "differences",
    )


def cell_grid(analysis: Analysis) -> Grid:
    """Every training: its macro AUROC in each task."""
    places = [one.place for one in analysis.groups if one.place.view == ALL_VIEWS]
    tasks = list(dict.fromkeys(place.task for place in places))
    scores = {
        (one.cell, one.place.task): figure_words(one.value, one.interval)
        for one in analysis.cells
        if one.place.view == ALL_VIEWS
    }
    cells = dict.fromkeys(cell for cell, _ in scores)
    return Grid(
        ["training", *tasks],
        [[cell_words(cell), *(scores.get((cell, task), "–") for task in tasks)] for cell in cells],
        "cells",
    )


def view_grids(results: StudyResults, analysis: Analysis) -> list[tuple[str, Grid]]:
    """The reference's macro AUROC and every arm's difference, by projection, for each group."""
    scores = {(one.arm, one.place): one for one in analysis.arms}
    differences = {(one.arm, one.place): one for one in analysis.differences}
    reference, others = results.arms[0], results.arms[1:]
    columns = ["projection", "images", "findings", f"{reference}, AUROC"]
    columns += [f"{arm} less {reference}" for arm in others]
    grids, groups = [], analysis.groups
    for task, algorithm in dict.fromkeys((one.place.task, one.place.algorithm) for one in groups):
        rows = [
            [
                *(one.place.view, f"{one.num_images:,}", str(len(one.findings))),
                _score_words(results, scores[reference, one.place]),
                *(_difference_words(differences[arm, one.place]) for arm in others),
            ]
            for one in groups
            if (one.place.task, one.place.algorithm) == (task, algorithm)
        ]
        if len(rows) > 1:
            grids.append((place_words(Place(algorithm, task)), Grid(columns, rows, "differences")))
    return grids


def finding_grid(analysis: Analysis, place: Place) -> Grid:
    """What a forest plot shows, as a table."""
    rows = [one for one in analysis.findings if one.place == place]
    arms = list(dict.fromkeys(one.arm for one in rows))
    positives = {one.finding: one.num_positives for one in rows}
    words = {(one.finding, one.arm): difference_words(one.difference, one.interval) for one in rows}
    return Grid(
        ["finding", "images with it", *arms],
        [
            [finding_words(name), f"{num:,}", *(words[name, arm] for arm in arms)]
            for name, num in sorted(positives.items(), key=lambda item: (-item[1], item[0]))
        ],
        "findings",
    )


def trend_grid(analysis: Analysis) -> Grid:
    """Spearman's correlations with the number of training pairs."""
    return Grid(
        ["arm", "task, algorithm", "of", "findings", "correlation (95 %)"],
        [
            [
                *(one.arm, place_words(one.place)),
                "AUROC" if one.figure == "AUROC" else f"difference to {analysis.reference}",
                str(one.num_findings),
                difference_words(one.correlation, one.interval)
                if one.correlation is not None
                else f"undefined: {one.reason}",
            ]
            for one in analysis.trends
        ],
        "long_tail",
    )


def group_words(group: GroupFacts) -> str:
    """What the figures of a place are of."""
    images = count_words(group.num_images, "image")
    patients = count_words(group.num_patients, "patient")
    said = f"{images} of {patients}, {count_words(len(group.findings), 'finding')}"
    if group.left_out:
        names = "; ".join(
            f"{finding_words(name)} ({reason})" for name, reason in group.left_out.items()
        )
        said += f". Left out on all sides: {names}"
    return f"{said}."


def _score_words(results: StudyResults, score: ArmScore) -> str:
    words = figure_words(score.value, score.interval)
    if score.value is not None and len(score.seeds) < len(results.seeds):
        words += f", {seed_words(score.seeds)} only"
    return words


def _common_words(common: CommonDifference | None) -> str:
    return difference_words(common.value, common.interval) if common else "–"


def _difference_words(one: Difference) -> str:
    if one.found is None:
        return f"none: {one.reason}"
    return difference_words(one.found.value, one.found.interval)
