"""The middle of the chest: outlines of heart and great vessels, aorta, trachea and main bronchi."""

import numpy as np

from models.painters.phantom.body import Body
from models.painters.phantom.canvas import Canvas, Floats, Map, curve, dome, ramp, tubes


def left_border(body: Body) -> Floats:
    """Left edge of mediastinum and heart over y, cm (a curve)."""
    ky, r, s = body.knob_y, body.knob_radius, body.shift
    apex = 0.93 * body.left.rest_y
    reach = body.heart_left
    waist_y, waist = ky + 2.5 * r, 2.8 + 0.05 * body.half_width
    bulge = body.heart_bulge
    f = (0.0, 0.25, 0.5, 0.75, 1.0)
    g = (0.0, 0.22 + 0.16 * bulge, 0.52 + 0.16 * bulge, 0.82 + 0.08 * bulge, 1.0)
    ys = [-9.0, 0.0, ky - r, ky + 1.5 * r, *(waist_y + k * (apex - waist_y) for k in f)]
    xs = [2.8, 2.9, 2.7, 2.6, *(waist + k * (reach - waist) for k in g)]
    return curve([*ys, apex + 2.0, apex + 6.0], [x + s for x in [*xs, 0.93 * reach, 0.5 * reach]])


def right_border(body: Body) -> Floats:
    """Right edge of mediastinum and heart over y, cm, negative (a curve)."""
    s, floor = body.shift, body.right.rest_y
    start = min(body.right.hilum_y, floor - 6.0)
    reach = body.heart_right_edge
    ascending = 2.9 + 0.45 * body.unfolding
    ys = [-9.0, 0.0, body.knob_y, start - 1.0, start + 1.5]
    xs = [2.7, 2.6, ascending, min(ascending, reach), 0.86 * reach]
    low = 0.55 * start + 0.45 * floor
    ys += [max(low, start + 2.2), max(floor, start + 4.0), floor + 5]
    xs += [reach, 0.86 * reach, 0.6 * reach]
    return curve(ys, [s - x for x in xs])


def mediastinum(canvas: Canvas, body: Body) -> tuple[Map, Map]:
    """Path length, cm, through (the whole mediastinum, the heart alone)."""
    left, right = canvas.along_y(left_border(body)), canvas.along_y(right_border(body))
    centre, half = 0.5 * (left + right), 0.5 * (left - right)
    profile = dome(((canvas.X_HW - centre) / half) ** 2)
    waist = body.knob_y + 2.2 * body.knob_radius
    bottom = max(body.left.rest_y, body.right.rest_y)
    depth = curve(
        [-9, 0, body.knob_y, waist, 0.5 * (waist + bottom), bottom],
        [6.0, 6.5, 7.5, 8.0, 1.35 * body.heart_half_width + 2, 1.35 * body.heart_half_width + 2],
    )
    whole = profile * canvas.along_y(depth)
    in_heart = ramp((canvas.Y_HW - waist) / 0.8) * ramp((bottom + 1.5 - canvas.Y_HW) / 0.8)
    return np.maximum(whole, aorta(canvas, body)), whole * in_heart


def aorta(canvas: Canvas, body: Body) -> Map:
    """Path length through the aortic knob and the descending aorta, cm."""
    r, ky, s = body.knob_radius, body.knob_y, body.shift
    knob_x = 1.55 + 0.35 * r + s
    knob = 2.6 * r * dome(((canvas.X_HW - knob_x) ** 2 + (canvas.Y_HW - ky) ** 2) / (r * r))
    xs = [
        knob_x + 0.1,
        knob_x - 0.1,
        knob_x + body.unfolding,
        1.2 + s + 0.4 * body.unfolding,
        0.5 + s,
    ]
    path = canvas.along_y(curve([ky, ky + 3, 14, 20, 28], xs))
    lane = dome(((canvas.X_HW - path) / (0.85 * r)) ** 2) * ramp((canvas.Y_HW - ky) / 1.2)
    both: Map = np.maximum(knob, 2.4 * r * lane)
    return both


def airways(canvas: Canvas, body: Body) -> Map:
    """Path length through the air of trachea and main bronchi, cm."""
    carina = body.knob_y + 2.4
    t = np.linspace(0, 1, 60, dtype=np.float32)
    shift = body.shift + body.trachea_shift
    branches = [
        (shift * t, -10 + (carina + 10) * t, 0.95 + 0 * t),
        (shift - 2.8 * t, carina + 3.4 * t, 0.62 - 0.2 * t),
        (shift + 3.4 * t, carina + 2.8 * t, 0.52 - 0.2 * t),
    ]
    xs, ys, radii = (np.concatenate([b[k] for b in branches]).astype(np.float32) for k in range(3))
    steps = [np.full(60, np.hypot(b[0][1] - b[0][0], b[1][1] - b[1][0])) for b in branches]
    return 1.3 * tubes(canvas, xs, ys, radii, np.concatenate(steps).astype(np.float32))
