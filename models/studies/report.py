"""A study's report: one HTML page, the same as Markdown, and every table as CSV."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from re import sub

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from models.studies.analysis import Analysis, analyse
from models.studies.figure_sections import (
    figure_difference_grid,
    figure_grid,
    judged_grid,
)
from models.studies.limits import limits
from models.studies.plots import StudyPlot, curve_plot, forest_plot, frequency_plot, long_tail_plot
from models.studies.results import StudyResults
from models.studies.scored_tasks import ALL_VIEWS
from models.studies.sections import (
    Grid,
    arm_grids,
    cell_grid,
    difference_grid,
    finding_grid,
    group_words,
    trend_grid,
    view_grids,
)
from models.studies.tables import study_tables
from models.studies.wording import (
    arm_summary,
    cell_words,
    figure_place_words,
    judged_words,
    place_words,
    verdict_words,
)

NOTICE = "Synthetic images: not for clinical use"
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """What the study says of an arm: in one sentence, and comparison by comparison."""

    arm: str
    summary: str
    comparisons: tuple[tuple[str, str], ...]  # where, and what is said


def write_report(results: StudyResults, margin: float | None = None) -> dict[str, bytes]:
    """The files of a study's report, by name; the same results give the same bytes.

    `report.html` needs no other file, script or network; `report.md` says the same without plots;
    `verdict.txt` has a line for each arm.

    Args:
        results: Of all cells; failed ones are listed with their reasons.
        margin: A difference in AUROC that does not matter, fixed before the study; None: nothing
            is said of equivalence.

    Raises:
        ValueError: If cells of one task were measured on different images.
    """
    analysis = analyse(results, margin)
    verdicts = list(arm_verdicts(analysis, results))
    values = {
        "notice": NOTICE,
        "code_version": version("cxr-factory"),
        "results": results,
        "analysis": analysis,
        "verdicts": verdicts,
        "scores": arm_grids(results, analysis),
        "cells": cell_grid(analysis),
        "differences": difference_grid(analysis),
        "judged": judged_grid(analysis),
        "views": view_grids(results, analysis),
        "groups": [
            (place_words(one.place), group_words(one))
            for one in analysis.groups
            if one.place.view == ALL_VIEWS
        ],
        "finding_parts": list(_finding_parts(results, analysis)),
        "trends": trend_grid(analysis),
        "curve_plots": [plot for one in results.algorithms if (plot := curve_plot(results, one))],
        "figures": figure_grid(results, analysis),
        "figure_differences": figure_difference_grid(results),
        "failed": [(cell_words(one.cell), one.reason) for one in results.failed],
        "limits": limits(results, analysis),
    }
    pages = {
        name: _environment().get_template(name).render(values).encode()
        for name in ("report.html", "report.md")
    }
    said = "".join(f"{one.arm}: {one.summary}\n" for one in verdicts)
    return (
        pages
        | {"verdict.txt": said.encode()}
        | {f"{one.name}.csv": one.csv() for one in study_tables(results, analysis)}
    )


def arm_verdicts(analysis: Analysis, results: StudyResults) -> Iterator[ArmVerdict]:
    """Of every arm but the reference, in the plan's order."""
    for arm in results.arms[1:]:
        comparisons = [
            (place_words(one.place), verdict_words(analysis, one))
            for one in analysis.differences
            if one.arm == arm and one.judged
        ]
        comparisons += [
            (figure_place_words(one.place), judged_words(analysis, one))
            for one in analysis.judged
            if one.arm == arm
        ]
        yield ArmVerdict(arm, arm_summary(analysis, arm), tuple(comparisons))


def _finding_parts(
    results: StudyResults, analysis: Analysis
) -> Iterator[tuple[list[StudyPlot], Grid]]:
    """Plots and table of the findings of each algorithm and task."""
    for place in dict.fromkeys(one.place for one in analysis.findings):
        plots = [
            of(results, analysis, place) for of in (forest_plot, long_tail_plot, frequency_plot)
        ]
        yield [plot for plot in plots if plot], finding_grid(analysis, place)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain_text": _plain_text, "held": _held}
    return environment


def _held(escaped: str) -> str:
    """Words as HTML, no line to be broken within an interval."""
    return sub(r"\([^()]*\d[^()]*\)", r'<span class="held">\g<0></span>', str(escaped))


def _plain_text(words: str) -> str:
    """Words of a plan or an error within Markdown: on one line, nothing in them is markup."""
    line = " ".join(words.split())
    return sub(r"[\\`*|<\[]|\b_|_\b", r"\\\g<0>", line)  # within a word, _ is no markup
