"""Lead letters on the detector and the blades of the collimator."""

import numpy as np

from models.painters.phantom.canvas import Canvas, Floats, Map, make_canvas, tubes

# Strokes of the letters in a box 0..0.6 wide and 0..1 high, y downwards.
STROKES: dict[str, list[list[tuple[float, float]]]] = {
    "A": [[(0, 1), (0.3, 0), (0.6, 1)], [(0.12, 0.65), (0.48, 0.65)]],
    "B": [[(0, 0), (0, 1), (0.5, 0.9), (0.5, 0.6), (0, 0.5), (0.45, 0.4), (0.45, 0.1), (0, 0)]],
    "E": [[(0.55, 0), (0, 0), (0, 1), (0.55, 1)], [(0, 0.5), (0.45, 0.5)]],
    "L": [[(0, 0), (0, 1), (0.55, 1)]],
    "O": [[(0.3, 0), (0.05, 0.2), (0.05, 0.8), (0.3, 1), (0.55, 0.8), (0.55, 0.2), (0.3, 0)]],
    "P": [[(0, 1), (0, 0), (0.5, 0.08), (0.5, 0.45), (0, 0.52)]],
    "R": [[(0, 1), (0, 0), (0.5, 0.08), (0.5, 0.42), (0, 0.5), (0.55, 1)]],
    "T": [[(0, 0), (0.6, 0)], [(0.3, 0), (0.3, 1)]],
}


def word(
    plate: Canvas, text: str, x: float, y: float, height: float, tilt: float, stroke: float
) -> Map:
    """Path length, cm, through lead letters whose first begins at (x, y) of the detector plate."""
    xs: list[Floats] = []
    ys: list[Floats] = []
    for k, letter in enumerate(text):
        for line in STROKES[letter]:
            knots = np.array(line) * height
            length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))])
            t = np.arange(0, length[-1], 0.02)
            px = np.interp(t, length, knots[:, 0]) + 0.85 * height * k
            py = np.interp(t, length, knots[:, 1])
            xs.append(x + px * np.cos(tilt) - py * np.sin(tilt))
            ys.append(y + px * np.sin(tilt) + py * np.cos(tilt))
    points = np.concatenate(xs).astype(np.float32), np.concatenate(ys).astype(np.float32)
    radius = np.full(len(points[0]), stroke, np.float32)
    return tubes(plate, *points, radius, np.full(len(radius), 0.02, np.float32))


def letters(canvas: Canvas, rng: np.random.Generator, portable: bool) -> Map:
    """The side marker, and on portable exposures often AP and PORTABLE, cm of lead."""
    field = canvas.size_px * canvas.pixel_cm
    plate = make_canvas(canvas.size_px, field, 0.0, (0.0, 0.0))
    edge, total = 0.5 * field, canvas.zeros()
    left = rng.random() < 0.75
    height, tilt = rng.uniform(0.9, 1.6), rng.normal(0, 0.25)
    x = rng.uniform(0.78, 0.92) * edge * (1 if left else -1)
    y = rng.uniform(-0.93, -0.60) * edge
    total += word(plate, "L" if left else "R", x, y, height, tilt, 0.10)
    if portable and rng.random() < 0.6:
        small = rng.uniform(0.45, 0.65)
        px, py = rng.uniform(-0.9, 0.4) * edge, rng.uniform(-0.96, -0.85) * edge
        total += word(plate, "PORTABLE", px, py, small, 0.0, 0.06)
    if portable and rng.random() < 0.6:
        px, py = rng.choice([-0.93, 0.8]) * edge, rng.uniform(-0.9, 0.9) * edge
        total += word(plate, "AP", px, py, rng.uniform(0.45, 0.7), 0.0, 0.06)
    return total


def stamp(pixels_HW: Map, lead_HW: Map) -> Map:
    """Lay lead letters over grey levels; lead stops all light, whatever lies behind it."""
    cover = np.minimum(9.0 * lead_HW, 1.0)
    stamped: Map = pixels_HW + cover * (248.0 - pixels_HW)
    return stamped


def collimate(pixels_HW: Map, rng: np.random.Generator) -> Map:
    """Darken (seldom whiten) what the blades cover at some of the four edges."""
    if rng.random() < 0.45:
        return pixels_HW
    size = pixels_HW.shape[0]
    at = (np.arange(size, dtype=np.float32) + 0.5) * (2.0 / size) - 1.0
    turn, level = rng.normal(0, 0.012), (rng.uniform(0, 12) if rng.random() < 0.85 else 250.0)
    inside = np.ones((size, size), np.float32)
    for across, along in ((at[:, None], at[None, :]), (at[None, :], at[:, None])):
        for sign in (-1.0, 1.0):
            blade = 1.0 - rng.uniform(0.0, 0.08) - 0.5 * (rng.random() < 0.05) * rng.random() ** 2
            if rng.random() < 0.5:
                inside *= np.clip((blade - sign * (across + turn * along)) * 0.4 * size, 0.0, 1.0)
    return inside * (pixels_HW - level) + level
