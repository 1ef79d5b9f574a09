"""Plots of a study: findings as a forest, the long tail, and learning curves, as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from models.plotting.axes import Axis, LogAxis, SpanAxis
from models.plotting.drawing import CHARACTER_PX, WIDTH_PX
from models.studies.analysis import Analysis
from models.studies.canvas import Canvas, series_of
from models.studies.estimates import Place
from models.studies.per_finding import LEAST_PATIENTS, FindingDifference
from models.studies.results import LossCurve, StudyResults
from models.studies.wording import count_words, difference_words, finding_words, place_words

_PLOT_HEIGHT = 280
_ROW, _GAP = 13, 9
_COUNTS_PX = 96  # for how many images show each finding
_MOST_POINTS = 150  # of a drawn curve; its table has all
_WIDE_SHARE = 0.8  # of intervals that a forest's axis holds in full


@dataclass(frozen=True, slots=True)
class StudyPlot:
    """A picture, what it shows in words, and the file that has its figures."""

    title: str
    description: str
    svg: str
    table: str


def forest_plot(results: StudyResults, analysis: Analysis, place: Place) -> StudyPlot | None:
    """Differences to the reference, finding by finding, the most common in the images first."""
    rows = [one for one in analysis.findings if one.place == place]
    if not rows:
        return None
    rows.sort(key=lambda one: (-one.num_positives, one.finding, results.arms.index(one.arm)))
    findings = [(name, list(of)) for name, of in groupby(rows, key=lambda one: one.finding)]
    arms = [arm for arm in results.arms if any(one.arm == arm for one in rows)]
    reach = _reach(rows)
    axis = SpanAxis(f"AUROC less that of {results.arms[0]}", -reach, reach)
    left = max(len(name) for name, _ in findings) * CHARACTER_PX + 12
    height = _ROW * len(arms) + _GAP
    canvas = Canvas(series_of(results), arms, (left, WIDTH_PX - _COUNTS_PX), height * len(findings))
    canvas.across(axis)
    canvas.drawing.label(WIDTH_PX, canvas.top - 6, "images with it", "end")
    for rank, (name, of) in enumerate(findings):
        top = canvas.top + height * rank
        canvas.drawing.text(left - 8, top + height / 2 + 4, finding_words(name), "end")
        canvas.drawing.label(WIDTH_PX, top + height / 2 + 4, f"{of[0].num_positives:,}", "end")
        for one in of:
            if one.interval:
                canvas.interval(axis, one.interval, top + _middle(arms, one))
    canvas.base(axis, 0)  # over the intervals, whose edges would cut it, and under the marks
    for rank, (_, of) in enumerate(findings):
        for one in of:
            y = canvas.top + height * rank + _middle(arms, one)
            canvas.value(axis, one.difference, y, one.arm)
    largest = max(rows, key=lambda one: abs(one.difference))
    return StudyPlot(
        title := f"{place_words(place)}: difference of each finding",
        description := f"AUROC of {count_words(len(findings), 'finding')} less that of "
        f"{results.arms[0]}, with 95 % intervals, for {', '.join(arms)}; the finding that most "
        f"images show stands first. Largest: {finding_words(largest.finding)} in {largest.arm}, "
        f"{difference_words(largest.difference, largest.interval)}. Intervals are of each finding "
        "alone, not corrected for their number; those that reach beyond the axis are cut at it. "
        f"What fewer than {LEAST_PATIENTS} patients show, or lack, has none.",
        canvas.svg(f"forest {place.task} {place.algorithm}", title, description),
        "findings",
    )


def long_tail_plot(results: StudyResults, analysis: Analysis, place: Place) -> StudyPlot | None:
    """Differences against how many of the reference's training pairs show each finding."""
    counts = results.training_counts.get(results.arms[0], {})
    rows = [one for one in analysis.findings if one.place == place and one.finding in counts]
    if not rows:
        return None
    arms = [arm for arm in results.arms if any(one.arm == arm for one in rows)]
    most = max(counts[one.finding] for one in rows) + 1
    x_axis = LogAxis(f"training pairs of {results.arms[0]} that show it, plus 1", most)
    values = [one.difference for one in rows]
    y_axis = SpanAxis("AUROC less the reference's", min(0.0, *values), max(0.0, *values))
    canvas = Canvas(series_of(results), arms, (70, WIDTH_PX - 24), _PLOT_HEIGHT)
    canvas.grid(x_axis, y_axis)
    for one in rows:
        spot = canvas.spot(x_axis, counts[one.finding] + 1, y_axis, one.difference)
        canvas.drawing.mark(*spot, canvas.series[one.arm])
    return StudyPlot(
        title := f"{place_words(place)}: rare and common findings",
        description := f"A mark for each finding and arm: its difference in AUROC against how many "
        f"training pairs of {results.arms[0]} show it, on a logarithmic axis. "
        f"{_trend_words(analysis, place, 'difference')}",
        canvas.svg(f"tail {place.task} {place.algorithm}", title, description),
        "findings",
    )


def frequency_plot(results: StudyResults, analysis: Analysis, place: Place) -> StudyPlot | None:
    """AUROCs of every arm against how many of its own training pairs show each finding."""
    reference, counts = results.arms[0], results.training_counts
    rows = [one for one in analysis.findings if one.place == place]
    first = [one for one in rows if one.arm == rows[0].arm]  # of the reference, once
    marks = [(reference, one.finding, one.reference_auroc) for one in first]
    marks += [(one.arm, one.finding, one.auroc) for one in rows]
    spots = [
        (arm, counts[arm][finding] + 1, auroc)
        for arm, finding, auroc in marks
        if finding in counts.get(arm, {})
    ]
    if not spots:
        return None
    arms = [arm for arm in results.arms if any(arm == of for of, _, _ in spots)]
    x_axis = LogAxis("training pairs of the arm that show it, plus 1", max(x for _, x, _ in spots))
    y_axis = SpanAxis("AUROC", min(y for _, _, y in spots), max(y for _, _, y in spots))
    canvas = Canvas(series_of(results), arms, (70, WIDTH_PX - 24), _PLOT_HEIGHT)
    canvas.grid(x_axis, y_axis)
    for arm, count, auroc in spots:
        canvas.drawing.mark(*canvas.spot(x_axis, count, y_axis, auroc), canvas.series[arm])
    return StudyPlot(
        title := f"{place_words(place)}: AUROC by training frequency",
        description := "A mark for each finding and arm: its AUROC against how many of the arm's "
        f"own training pairs show it, on a logarithmic axis. "
        f"{_trend_words(analysis, place, 'AUROC')}",
        canvas.svg(f"frequency {place.task} {place.algorithm}", title, description),
        "findings",
    )


def curve_plot(results: StudyResults, algorithm: str) -> StudyPlot | None:
    """Loss by step: a thin line a training, a thick one for the mean of an arm's seeds."""
    curves = [one for one in results.curves if one.cell.algorithm == algorithm and one.steps]
    if not curves:
        return None
    arms = [arm for arm in results.arms if any(one.cell.arm == arm for one in curves)]
    losses = [loss for one in curves for loss in one.losses if np.isfinite(loss)]
    if not losses:
        return None
    x_axis: Axis = SpanAxis("optimiser step", 0, max(one.steps[-1] for one in curves))
    y_axis = SpanAxis("training loss", min(losses), max(losses))
    canvas = Canvas(series_of(results), arms, (70, WIDTH_PX - 24), _PLOT_HEIGHT)
    canvas.grid(x_axis, y_axis)
    lasts = []
    for arm in arms:
        of = [_thinned(one) for one in curves if one.cell.arm == arm]
        for points in of:
            spots = [canvas.spot(x_axis, step, y_axis, loss) for step, loss in points.items()]
            canvas.drawing.faint_curve(spots, canvas.series[arm])
        mean = _mean_curve(of)
        spots = [canvas.spot(x_axis, step, y_axis, loss) for step, loss in mean.items()]
        canvas.drawing.curve(spots, canvas.series[arm])
        if mean:
            lasts.append(f"{arm} {list(mean.values())[-1]:.3g}")
    return StudyPlot(
        title := f"{algorithm}: loss by step",
        description := f"Training loss of every training (thin) and its mean over an arm's seeds "
        f"(thick). At the end: {'; '.join(lasts)}. Losses of arms are of different data: a lower "
        "one is no better model.",
        canvas.svg(f"curve {algorithm}", title, description),
        "learning_curves",
    )


def _trend_words(analysis: Analysis, place: Place, figure: str) -> str:
    found = [
        f"{one.arm} {difference_words(one.correlation, one.interval)}"
        for one in analysis.trends
        if one.place == place and one.figure == figure and one.correlation is not None
    ]
    return f"Spearman's correlation over findings: {'; '.join(found)}." if found else ""


def _middle(arms: Sequence[str], one: FindingDifference) -> float:
    """Of an arm's line among those of a finding, in px."""
    return _GAP / 2 + _ROW * (arms.index(one.arm) + 0.5)


def _reach(rows: Sequence[FindingDifference]) -> float:
    """How far a forest's axis goes on either side: a few very wide intervals are cut."""
    bounds = [max(-one.interval.low, one.interval.high) for one in rows if one.interval]
    wide = float(np.quantile(bounds, _WIDE_SHARE)) if bounds else 0.0
    return max(wide, *(abs(one.difference) for one in rows)) or 0.1


def _thinned(curve: LossCurve) -> dict[int, float]:
    """Losses of evenly chosen steps, the last included."""
    every = max(1, -(-len(curve.steps) // _MOST_POINTS))
    points = list(zip(curve.steps, curve.losses, strict=True))[::-1][::every][::-1]
    return {step: loss for step, loss in points if np.isfinite(loss)}


def _mean_curve(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Mean loss at the steps that all curves have."""
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    return {step: float(np.mean([curve[step] for curve in curves])) for step in shared}
