"""The detector seen from the patient: pixel grid in centimetres, curves, tubes, smooth noise.

Patient frame, used by every module of this package: x in cm from the midline, positive towards
the patient's left, which is the right of the image; y in cm downwards from the lung apices.
Maps are float32 (H, W), one value per pixel.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Map = NDArray[np.floating[Any]]  # float32 at run time; a test holds it
Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]

CURVE_STEP_CM = 0.02  # a seventh of a pixel at 256 px
CURVE_START_CM = -45.0
CURVE_STOP_CM = 60.0
CURVE_GRID = np.arange(CURVE_START_CM, CURVE_STOP_CM, CURVE_STEP_CM, dtype=np.float32)
_COARSE_GRID = CURVE_GRID[::8].astype(np.float64)  # curves are smooth; linear in between


def curve(positions_cm: list[float], values: list[float]) -> Floats:
    """A smooth curve through control points, tabulated on CURVE_GRID, constant beyond its ends.

    Args:
        positions_cm: Increasing positions along x or y.
        values: Value at each position.

    Source: monotone cubic interpolation, Fritsch and Butland 1984 (never overshoots the points).
    """
    x, y = np.array(positions_cm), np.array(values)
    width, slope = np.diff(x), np.diff(y) / np.diff(x)
    before, after = slope[:-1], slope[1:]
    weight = (width[:-1] + 2 * width[1:]) / (3 * (width[:-1] + width[1:]))
    product, mean = before * after, weight * before + (1 - weight) * after
    inner = np.where(product > 0, product / np.where(product > 0, mean, 1.0), 0.0)
    tangent = np.concatenate([[0.0], inner, [0.0]])
    at = np.clip(_COARSE_GRID, x[0], x[-1])
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(width) - 1)
    t = (at - x[k]) / width[k]
    rise = y[k] + (y[k + 1] - y[k]) * t * t * (3 - 2 * t)
    bend = width[k] * t * (1 - t) * (tangent[k] * (1 - t) - tangent[k + 1] * t)
    table: Floats = np.interp(CURVE_GRID, _COARSE_GRID, rise + bend).astype(np.float32)
    return table


def ramp(value_HW: Map) -> Map:
    """Smooth step from 0 at -1 to 1 at +1."""
    t: Map = value_HW * 0.5
    t += 0.5
    np.maximum(t, 0.0, out=t)
    np.minimum(t, 1.0, out=t)
    smooth: Map = t * -2.0
    smooth += 3.0
    smooth *= t
    smooth *= t
    return smooth


def dome(radius2_HW: Map) -> Map:
    """Relative thickness of an ellipsoid at squared relative radius: sqrt(1 - r2), 0 outside."""
    thickness: Map = np.sqrt(np.maximum(1.0 - radius2_HW, 0.0))
    return thickness


@dataclass(frozen=True, slots=True)
class Canvas:
    """Pixel grid of one exposure in the patient frame.

    Attributes:
        size_px: Side of the square image, a multiple of 8.
        pixel_cm: Side of a pixel in cm.
        cos: Cosine of the tilt of the patient in the image plane.
        sin: Sine of that tilt.
        centre_cm: Patient (x, y) at the image centre.
        X_HW: Patient x of each pixel centre, cm.
        Y_HW: Patient y of each pixel centre, cm.
        ix_HW: Index of each pixel's x into CURVE_GRID.
        iy_HW: Index of each pixel's y into CURVE_GRID.
    """

    size_px: int
    pixel_cm: float
    cos: float
    sin: float
    centre_cm: tuple[float, float]
    X_HW: Map
    Y_HW: Map
    ix_HW: NDArray[np.int32]
    iy_HW: NDArray[np.int32]

    def along_x(self, table: Floats) -> Map:
        """A curve over x at every pixel."""
        return np.take(table, self.ix_HW, mode="clip")

    def along_y(self, table: Floats) -> Map:
        """A curve over y at every pixel."""
        return np.take(table, self.iy_HW, mode="clip")

    def zeros(self) -> Map:
        """An empty map."""
        return np.zeros((self.size_px, self.size_px), np.float32)

    def to_pixels(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Column and row (fractional, pixel centres at whole numbers) of patient positions."""
        dx, dy = x - self.centre_cm[0], y - self.centre_cm[1]
        half = (self.size_px - 1) / 2
        column = (self.cos * dx - self.sin * dy) / self.pixel_cm + half
        row = (self.sin * dx + self.cos * dy) / self.pixel_cm + half
        return column, row

    def window(self, x: float, y: float, reach: float) -> tuple[slice, slice]:
        """Rows and columns of the square of half side `reach` cm around (x, y)."""
        columns, rows = self.to_pixels(np.array([x]), np.array([y]))
        column, row = float(columns[0]), float(rows[0])
        r = reach * 1.1 / self.pixel_cm + 1
        return _clip(row - r, row + r, self.size_px), _clip(column - r, column + r, self.size_px)


def _clip(low: float, high: float, size: int) -> slice:
    start = min(max(int(low), 0), size)
    return slice(start, max(min(int(high) + 1, size), start))


def make_canvas(
    size_px: int, field_cm: float, tilt_radians: float, centre_cm: tuple[float, float]
) -> Canvas:
    """The grid of a field of `field_cm` across whose centre lies at `centre_cm` of the patient."""
    pixel_cm = field_cm / size_px
    offsets = ((np.arange(size_px) - (size_px - 1) / 2) * pixel_cm).astype(np.float32)
    cos, sin = float(np.cos(tilt_radians)), float(np.sin(tilt_radians))
    X = (centre_cm[0] + cos * offsets)[None, :] + (sin * offsets)[:, None]
    Y = (centre_cm[1] - sin * offsets)[None, :] + (cos * offsets)[:, None]
    scale = 1.0 / CURVE_STEP_CM
    ix = ((X - CURVE_START_CM) * scale).astype(np.int32)
    iy = ((Y - CURVE_START_CM) * scale).astype(np.int32)
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    return Canvas(size_px, pixel_cm, cos, sin, centre_cm, X, Y, ix, iy)


def soften(map_HW: Map, passes: int = 1) -> Map:
    """Binomial blur [1 2 1] / 4 along both axes; each pass adds a variance of half a pixel."""
    for _ in range(passes):
        rows = map_HW.copy()
        rows[1:-1] += 0.25 * (map_HW[:-2] + map_HW[2:] - 2.0 * map_HW[1:-1])
        map_HW = rows.copy()
        map_HW[:, 1:-1] += 0.25 * (rows[:, :-2] + rows[:, 2:] - 2.0 * rows[:, 1:-1])
    return map_HW


def blur(map_HW: Map, sigma_px: float) -> Map:
    """Gaussian blur; a few binomial passes where that is as good."""
    if sigma_px < 1.3:
        return soften(map_HW, max(1, round(2 * sigma_px**2)))
    return ndimage.gaussian_filter(map_HW, sigma_px, mode="nearest", truncate=2.5)


def tubes(canvas: Canvas, x: Floats, y: Floats, radius_cm: Floats, step_cm: Floats) -> Map:
    """Path length, cm, through thin tubes given as dense points along their axes.

    A tube of radius r holds a volume of pi r^2 per cm; it is laid down point by point and
    blurred to the tube's width, so that crossings add up as in a projection.

    Args:
        canvas: The pixel grid.
        x: Patient x of each point, cm, any shape.
        y: Patient y of each point.
        radius_cm: Tube radius at each point.
        step_cm: Length of axis each point stands for.
    """
    column, row = canvas.to_pixels(x.ravel(), y.ravel())
    radius_px = radius_cm.ravel() / canvas.pixel_cm
    volume = np.pi * radius_px**2 * step_cm.ravel()  # cm of path times pixels
    total = canvas.zeros()
    for low, high in pairwise((0.0, 1.5, 4.0, 1e9)):
        chosen = (radius_px >= low) & (radius_px < high)
        if chosen.any():
            sigma = max(0.5 * float(radius_px[chosen].mean()), 0.5)
            _lay(total, column[chosen], row[chosen], volume[chosen], sigma)
    return total


def _lay(total: Map, column: Floats, row: Floats, weight: Floats, sigma_px: float) -> None:
    """Deposit weights bilinearly at fractional pixels, blur them and add them to `total`."""
    size = len(total)
    c0, r0 = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    inside = (c0 >= 0) & (r0 >= 0) & (c0 < size - 1) & (r0 < size - 1)
    if not inside.any():
        return
    c0, r0, weight = c0[inside], r0[inside], weight[inside]
    fc, fr = column[inside] - c0, row[inside] - r0
    pad = int(3 * sigma_px) + 2  # only the box around the points is blurred
    top, left = max(int(r0.min()) - pad, 0), max(int(c0.min()) - pad, 0)
    bottom, right = min(int(r0.max()) + 2 + pad, size), min(int(c0.max()) + 2 + pad, size)
    wide, high = right - left, bottom - top
    base = (r0 - top) * wide + (c0 - left)
    index = np.concatenate([base, base + 1, base + wide, base + wide + 1])
    before, after = weight * (1 - fc), weight * fc
    mass = np.concatenate([before * (1 - fr), after * (1 - fr), before * fr, after * fr])
    box = np.bincount(index, mass, minlength=wide * high).reshape(high, wide)
    total[top:bottom, left:right] += blur(box.astype(np.float32), sigma_px)


def smooth_noise(canvas: Canvas, rng: np.random.Generator, cells: int) -> Map:
    """Smooth noise of about unit variance whose features are a `cells`-th of the image wide."""
    nodes = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    weights = spline_weights(canvas.size_px, cells)
    return weights @ nodes @ weights.T


def rough_noise(canvas: Canvas, rng: np.random.Generator, cells: int) -> Map:
    """Three octaves of smooth noise, the coarsest `cells` across; about unit variance."""
    total = 0.77 * smooth_noise(canvas, rng, cells)
    total += 0.53 * smooth_noise(canvas, rng, round(1.9 * cells))
    total += 0.36 * smooth_noise(canvas, rng, round(3.7 * cells))
    return total


@cache
def enlarge_weights(size: int) -> Floats:
    """Weights (8 size, size) of linear interpolation from block centres to pixels."""
    at = np.clip((np.arange(8 * size) + 0.5) / 8 - 0.5, 0, size - 1)
    low = np.minimum(at.astype(int), size - 2)
    weights = np.zeros((8 * size, size), np.float32)
    weights[np.arange(8 * size), low] = 1 - (at - low)
    weights[np.arange(8 * size), low + 1] = at - low
    return weights


@cache
def spline_weights(size: int, cells: int) -> Floats:
    """Weights (size, cells + 3) of a uniform cubic B-spline, scaled to keep unit variance."""
    position = (np.arange(size) + 0.5) * (cells / size)
    first = np.floor(position).astype(int)
    t = position - first
    basis = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((size, cells + 3), np.float32)
    for k, values in enumerate(basis):
        weights[np.arange(size), first + k] = values
    scaled: Floats = weights / np.sqrt((weights**2).sum(axis=1).mean())
    return scaled
