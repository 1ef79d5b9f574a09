"""A plot's frame: a key of arms that wraps, axes, and where values stand."""

from collections.abc import Mapping, Sequence
from re import sub

from models.downstream.metrics import Interval
from models.plotting.axes import Axis, tick_words
from models.plotting.drawing import CHARACTER_PX, NUM_SERIES, WIDTH_PX, Drawing
from models.studies.results import StudyResults

_KEY_LINE, _KEY_GAP, _MARK_PX = 20, 24, 14
_FOOT = 52


def series_of(results: StudyResults) -> dict[str, int]:
    """Colour and mark of every arm, the same in all plots."""
    return {arm: place % NUM_SERIES for place, arm in enumerate(results.arms)}


class Canvas:
    """A drawing whose key stands above a plot of a given size.

    Attributes:
        drawing: To add marks to.
        series: Colour and mark of each arm.
        top: Of the plot, in px.
        bottom: Of the plot, in px.
    """

    def __init__(
        self,
        series: Mapping[str, int],
        arms: Sequence[str],
        sides: tuple[float, float],
        height_px: float,
    ) -> None:
        """Draw the key.

        Args:
            series: Of every arm.
            arms: Those in the key.
            sides: Left and right end of the plot, in px.
            height_px: Of the plot.
        """
        self.series = series
        self._left, self._right = sides
        places, lines = _key_places(arms)
        self.top = _KEY_LINE * lines + 24
        self.bottom = self.top + height_px
        self.drawing = Drawing(self.bottom + _FOOT)
        for arm, (x, y) in zip(arms, places, strict=True):
            self.drawing.mark(x + _MARK_PX / 2, y - 4, series[arm])
            self.drawing.text(x + _MARK_PX + 2, y, arm)

    def across(self, axis: Axis) -> None:
        """Upright lines to read values by, their ticks below, and the axis's title."""
        for tick in axis.ticks:
            x = self._x(axis, tick)
            self.drawing.grid_line(x, self.top, x, self.bottom)
            self.drawing.label(x, self.bottom + 18, tick_words(tick), "middle")
        middle = (self._left + self._right) / 2
        self.drawing.label(middle, self.bottom + 40, axis.title, "middle")

    def grid(self, x_axis: Axis, y_axis: Axis) -> None:
        """Lines of both axes; a base line at 0 where the upright one holds it amid."""
        self.across(x_axis)
        for tick in y_axis.ticks:
            y = self._y(y_axis, tick)
            self.drawing.grid_line(self._left, y, self._right, y)
            self.drawing.label(self._left - 8, y + 4, tick_words(tick), "end")
        self.drawing.label(0, self.top - 13, y_axis.title)
        if y_axis.ticks[0] < 0:
            y = self._y(y_axis, 0)
            self.drawing.base_line(self._left, y, self._right, y)

    def base(self, axis: Axis, value: float) -> None:
        """The upright line of a value."""
        x = self._x(axis, value)
        self.drawing.base_line(x, self.top, x, self.bottom)

    def spot(self, x_axis: Axis, x: float, y_axis: Axis, y: float) -> tuple[float, float]:
        """Where two values meet, in px."""
        return self._x(x_axis, x), self._y(y_axis, y)

    def interval(self, axis: Axis, interval: Interval, y: float) -> None:
        """A lying interval, cut at the axis's ends."""
        low, high = max(interval.low, axis.ticks[0]), min(interval.high, axis.ticks[-1])
        self.drawing.whisker(self._x(axis, low), self._x(axis, high), y)

    def value(self, axis: Axis, value: float, y: float, arm: str) -> None:
        """An arm's mark."""
        self.drawing.mark(self._x(axis, value), y, self.series[arm])

    def svg(self, name: str, title: str, description: str) -> str:
        """The whole, with its text alternative; the name becomes part of its ids."""
        return self.drawing.svg(sub(r"[^A-Za-z0-9]+", "-", name), title, description)

    def _x(self, axis: Axis, value: float) -> float:
        return self._left + (self._right - self._left) * axis.place(value)

    def _y(self, axis: Axis, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * axis.place(value)


def _key_places(names: Sequence[str]) -> tuple[list[tuple[float, float]], int]:
    """Where each name of a key stands, and how many lines they take."""
    places: list[tuple[float, float]] = []
    x, line = 0.0, 1
    for name in names:
        width = _MARK_PX + CHARACTER_PX * len(name) + _KEY_GAP
        if x and x + width > WIDTH_PX:
            x, line = 0.0, line + 1
        places.append((x, _KEY_LINE * line - 6))
        x += width
    return places, line
