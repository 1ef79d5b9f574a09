"""Shapes of a plot as SVG, made here so that pages need no script and no library.

Colours stand twice: as attributes, for the file that somebody downloads, and as classes, by which
the page's own style sheet gives them those of a light or dark page.
"""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH_PX = 720
_INK, _SOFT, _LINE, _PAPER = "#16232a", "#4d5f69", "#d3dce1", "#ffffff"
_SERIES = (  # told apart in common colour blindness, and by dashes and marks
    *("#0b6079", "#b4540a", "#6b7c86"),
    *("#8a2f7f", "#3f7d20", "#3a4fb0"),
)
_DASHES = ("", "7 4", "2 4", "9 3 2 3", "12 5", "4 2")
NUM_SERIES = len(_SERIES)
_HALF_MARK_PX = 4.0
_DARKEST_CELL = 0.4  # words stay readable on it, light or dark
CHARACTER_PX = 7.2  # a wide one; nothing here can measure text
_SWATCH_PX = 12.0


class Drawing:
    """Shapes in the order they were drawn; x to the right and y down, in px."""

    def __init__(self, height_px: float) -> None:
        self.height_px = height_px
        self._shapes: list[str] = []

    def text(self, x: float, y: float, words: str, anchor: str = "start") -> None:
        """Words on a line through y; `anchor` is SVG's start, middle or end."""
        look = {"class": "ink", "fill": _INK, "text-anchor": anchor}
        self._add("text", look | {"x": x, "y": y}, words)

    def label(self, x: float, y: float, words: str, anchor: str = "start") -> None:
        """Smaller words of an axis."""
        look = {"class": "soft", "fill": _SOFT, "text-anchor": anchor, "font-size": "12"}
        self._add("text", look | {"x": x, "y": y}, words)

    def slanted(self, x: float, y: float, words: str) -> None:
        """Words that rise to the right from a point."""
        turned = f"translate({x:.1f} {y:.1f}) rotate(-45)"
        self._add("text", {"class": "ink", "fill": _INK, "transform": turned}, words)

    def grid_line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """A thin line to read values by."""
        ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
        self._add("line", {"class": "grid", "stroke": _LINE, **ends})

    def base_line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """The line that values are read from, such as that of no difference."""
        ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
        self._add("line", {"class": "base", "stroke": _SOFT, "stroke-width": "1.5", **ends})

    def whisker(self, x1: float, x2: float, y: float) -> None:
        """An interval, lying; edged, so that it is seen on a bar."""
        path = f"M{x1:.1f} {y - 3:.1f}v6m0 -3H{x2:.1f}m0 -3v6"
        line = {"d": path, "fill": "none"}
        self._add("path", line | {"class": "halo", "stroke": _PAPER, "stroke-width": "4"})
        self._add("path", line | {"class": "whisker", "stroke": _INK, "stroke-width": "1.5"})

    def bar(self, x: float, y: float, width: float, height: float, series: int) -> None:
        """A filled rectangle in the colour of a series."""
        shape = {"x": x, "y": y, "width": width, "height": height}
        self._add("rect", {"class": f"s{series}", "fill": _SERIES[series], **shape})

    def cell(self, x: float, y: float, side: float, strength: float) -> None:
        """A square, the stronger (0 to 1) the darker."""
        look = {
            "class": "s0",
            "fill": _SERIES[0],
            "fill-opacity": f"{_DARKEST_CELL * strength:.3f}",
        }
        self._add("rect", look | {"x": x, "y": y, "width": side, "height": side})

    def curve(self, points: Sequence[tuple[float, float]], series: int) -> None:
        """A line through points, in the colour and dashes of a series."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        look = {"class": f"l{series}", "fill": "none", "stroke": _SERIES[series]}
        dashes = {"stroke-width": "2", "stroke-dasharray": _DASHES[series] or "none"}
        self._add("polyline", look | dashes | {"points": path})

    def faint_curve(self, points: Sequence[tuple[float, float]], series: int) -> None:
        """A thin line, one of many of a series."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        look = {"class": f"l{series}", "fill": "none", "stroke": _SERIES[series]}
        self._add("polyline", look | {"stroke-width": "1", "stroke-opacity": "0.6", "points": path})

    def mark(self, x: float, y: float, series: int) -> None:
        """A point: round, square, diamond, triangle, triangle on its tip or a cross, by series."""
        half = _HALF_MARK_PX
        shapes = (
            f"m{-half} 0a{half} {half} 0 1 0 {2 * half} 0a{half} {half} 0 1 0 {-2 * half} 0z",
            f"m{-half} {-half}h{2 * half}v{2 * half}h{-2 * half}z",
            f"m0 {-half}l{half} {half}l{-half} {half}l{-half} {-half}z",
            f"m0 {-half}l{half} {2 * half}h{-2 * half}z",
            f"m0 {half}l{half} {-2 * half}h{-2 * half}z",
            f"m{-half / 2} {-half}h{half}v{half / 2}h{half / 2}v{half}h{-half / 2}v{half / 2}"
            f"h{-half}v{-half / 2}h{-half / 2}v{-half}h{half / 2}z",
        )
        look = {"class": f"s{series}", "fill": _SERIES[series]}
        self._add("path", look | {"d": f"M{x:.1f} {y:.1f}{shapes[series]}"})

    def legend(self, names: Sequence[str], y: float) -> None:
        """What each series is, side by side on a line."""
        x = 0.0
        for series, name in enumerate(names):
            self.bar(x, y - _SWATCH_PX + 2, _SWATCH_PX, _SWATCH_PX, series)
            self.text(x + 1.5 * _SWATCH_PX, y, name)
            x += 3 * _SWATCH_PX + CHARACTER_PX * len(name)

    def svg(self, name: str, title: str, description: str) -> str:
        """All of it as an SVG document.

        Args:
            name: For ids that are unique on a page.
            title: Short.
            description: What a reader who cannot see it should know.
        """
        height = f"{self.height_px:.0f}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH_PX}" '
            f'height="{height}" viewBox="0 0 {WIDTH_PX} {height}" font-size="13" '
            f'font-family="system-ui, sans-serif" aria-labelledby="{name}-title {name}-desc">'
            f'<title id="{name}-title">{escape(title)}</title>'
            f'<desc id="{name}-desc">{escape(description)}</desc>'
            f'<rect class="paper" width="{WIDTH_PX}" height="{height}" fill="{_PAPER}"/>'
            f"{''.join(self._shapes)}</svg>"
        )

    def _add(self, tag: str, attributes: Mapping[str, str | float], words: str = "") -> None:
        said = " ".join(
            f'{name}="{value if isinstance(value, str) else f"{value:.1f}"}"'
            for name, value in attributes.items()
        )
        self._shapes.append(f"<{tag} {said}>{escape(words)}</{tag}>")
