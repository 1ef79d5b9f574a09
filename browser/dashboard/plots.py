"""A plot with its data, and the three ways of drawing one."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from models.plotting.axes import Axis, LinearAxis, tick_words
from models.plotting.drawing import CHARACTER_PX, WIDTH_PX, Drawing

Cell = str | int | float | None
_LEFT, _RIGHT, _LEGEND = 160, 20, 34
_BAR, _GAP = 11, 10
_CELL = 34
_SLANT = 0.71  # height of words that rise at 45 degrees, of their length
_PLOT_HEIGHT, _FOOT = 300, 52


@dataclass(frozen=True, slots=True)
class PlotData:
    """What a plot shows, as a table.

    Attributes:
        name: In addresses.
        description: What it shows, for who cannot see it too.
        notes: Figures that sum it up.
        columns: Names of the table's columns, with units.
        rows: Cells; null where there is no value.
    """

    name: str
    title: str
    description: str
    notes: list[str]
    columns: list[str]
    rows: list[list[Cell]]

    def csv(self) -> str:
        """The table as CSV."""
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return target.getvalue()


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot's data and its picture."""

    data: PlotData
    svg: str


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar a label; None where there is none. `intervals` are drawn over them, if any."""

    name: str
    values: Sequence[float | None]
    intervals: Sequence[tuple[float, float] | None] = ()


@dataclass(frozen=True, slots=True)
class Curve:
    """Points to join, by x. A None between two points leaves a gap."""

    name: str
    points: Sequence[tuple[float, float] | None]


def bar_plot(
    data: PlotData, labels: Sequence[str], series: Sequence[Bars], axis: LinearAxis
) -> Plot:
    """Lying bars, those of one label together."""
    group = _BAR * len(series) + _GAP
    bottom = _LEGEND + group * len(labels)
    longest = max(len(label) for label in labels) * CHARACTER_PX + _GAP
    left = min(max(_LEFT, longest), WIDTH_PX / 2)
    drawing, width = Drawing(bottom + _FOOT), WIDTH_PX - left - _RIGHT
    drawing.legend([one.name for one in series], 14)
    for tick in axis.ticks:
        x = left + width * axis.place(tick)
        drawing.grid_line(x, _LEGEND - 4, x, bottom)
        drawing.label(x, bottom + 16, tick_words(tick), "middle")
    drawing.label(left + width / 2, bottom + 38, axis.title, "middle")
    for row, label in enumerate(labels):
        top = _LEGEND + group * row
        drawing.text(left - 8, top + group / 2, label, "end")
        for place, one in enumerate(series):
            y = top + _BAR * place
            if (value := one.values[row]) is not None:
                drawing.bar(left, y, width * axis.place(value), _BAR - 1, place)
            if one.intervals and (interval := one.intervals[row]) is not None:
                low, high = (left + width * axis.place(bound) for bound in interval)
                drawing.whisker(low, high, y + (_BAR - 1) / 2)
    return Plot(data, drawing.svg(data.name, data.title, data.description))


def curve_plot(data: PlotData, curves: Sequence[Curve], x_axis: Axis, y_axis: Axis) -> Plot:
    """Curves over two axes."""
    left, right = 70, WIDTH_PX - _RIGHT
    top, bottom = _LEGEND, _LEGEND + _PLOT_HEIGHT
    drawing = Drawing(bottom + _FOOT)
    drawing.legend([one.name for one in curves], 14)
    for tick in x_axis.ticks:
        x = left + (right - left) * x_axis.place(tick)
        drawing.grid_line(x, top, x, bottom)
        drawing.label(x, bottom + 18, tick_words(tick), "middle")
    for tick in y_axis.ticks:
        y = bottom - (bottom - top) * y_axis.place(tick)
        drawing.grid_line(left, y, right, y)
        drawing.label(left - 8, y + 4, tick_words(tick), "end")
    words = f"{y_axis.title} (upwards) against {x_axis.title}"
    drawing.label((left + right) / 2, bottom + 40, words, "middle")
    for place, curve in enumerate(curves):
        for run in _runs(curve.points):
            spots = [
                (
                    left + (right - left) * x_axis.place(x),
                    bottom - (bottom - top) * y_axis.place(y),
                )
                for x, y in run
            ]
            drawing.curve(spots, place)
            for x, y in spots:
                drawing.mark(x, y, place)
    return Plot(data, drawing.svg(data.name, data.title, data.description))


def matrix_plot(data: PlotData, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Plot:
    """A square of counts; the more, the darker. The diagonal has how many there are of each."""
    top = 20 + max(len(label) for label in labels) * CHARACTER_PX * _SLANT
    greatest = max(
        (count for row, of in enumerate(counts) for at, count in enumerate(of) if row != at),
        default=0,
    )
    drawing = Drawing(top + _CELL * len(labels) + 8)
    for row, label in enumerate(labels):
        middle = _CELL * (row + 0.5)
        drawing.slanted(_LEFT + middle, top - 6, label)
        drawing.text(_LEFT - 8, top + middle + 4, label, "end")
        for column, count in enumerate(counts[row]):
            x, y = _LEFT + _CELL * column, top + _CELL * row
            if row != column:
                drawing.cell(x, y, _CELL - 2, (count / greatest) ** 0.5 if greatest else 0.0)
            drawing.text(x + _CELL / 2 - 1, y + _CELL / 2 + 4, _short(count), "middle")
    return Plot(data, drawing.svg(data.name, data.title, data.description))


def _runs(
    points: Sequence[tuple[float, float] | None],
) -> list[list[tuple[float, float]]]:
    """Points without a gap between them."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _short(count: int) -> str:
    """A count that fits a cell: 1.2k for 1,234."""
    thousands = count / 1000
    if thousands < 1:
        return str(count)
    return f"{thousands:.1f}k" if thousands < 10 else f"{thousands:.0f}k"
