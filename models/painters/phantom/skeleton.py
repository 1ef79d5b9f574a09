"""Thickness maps of bone: ribs, spine, clavicles, scapulae, humeri."""

from math import sqrt

import numpy as np

from models.painters.phantom.anatomy import arm_axis, inner_wall
from models.painters.phantom.body import Body
from models.painters.phantom.canvas import Canvas, Floats, Map, curve, dome, ramp, tubes

SHELL_STEPS = 512


def shell_table(marrow: float, upper: float, lower: float) -> Floats:
    """Bone along the ray through a rib, cm, against relative height d in -1.25..1.25.

    Args:
        marrow: Spongy bone in the middle.
        upper: Cortex at the upper edge.
        lower: Cortex at the lower edge, seen more sharply in posterior ribs.
    """
    d = np.linspace(-1.25, 1.25, SHELL_STEPS)
    body = marrow * np.sqrt(np.maximum(1 - d**2, 0))
    edges = upper * np.exp(-(((d + 0.86) / 0.13) ** 2)) + lower * np.exp(
        -(((d - 0.88) / 0.10) ** 2)
    )
    return (body + edges).astype(np.float32)


POSTERIOR = shell_table(0.44, 0.20, 0.34)
ANTERIOR = shell_table(0.20, 0.09, 0.09)


def shell(table: Floats, distance_HW: Map) -> Map:
    """`shell_table` at each pixel."""
    scale = (SHELL_STEPS - 1) / 2.5
    return np.take(table, ((distance_HW + 1.25) * scale).astype(np.int32), mode="clip")


def ribs(canvas: Canvas, body: Body) -> Map:
    """All ribs: a tilted ring projects to an ellipse whose upper arc lies behind."""
    wall = canvas.along_y(inner_wall(body)) + 0.35
    x = np.abs(canvas.X_HW - 0.3 * body.shift)
    u = np.minimum(x / wall, 1.0)
    arc = np.sqrt(np.maximum(1.0 - u * u, 0.0))
    side = np.where(canvas.X_HW < 0, 0.0, 0.25).astype(np.float32)
    spacing, width = body.rib_spacing, 0.5 * body.rib_width
    lateral = 1.0 + 0.9 * u**6
    slope = np.minimum(body.rib_drop * u / (np.maximum(arc, 0.12) * wall), 3.0)
    cosine = 1.0 / np.sqrt(1.0 + slope * slope)
    back = (canvas.Y_HW - body.rib_phase - side + body.rib_drop * 0.8 * arc) / spacing
    front = (canvas.Y_HW - body.rib_phase - side - body.rib_drop * 1.15 * arc) / spacing
    outside = ramp((wall + 0.3 - x) / 0.3)
    bone = _comb(POSTERIOR, back, 12, cosine * (spacing / width)) * lateral
    bone *= ramp((x - 1.6) / 0.6)
    ant = _comb(ANTERIOR, front, 8, cosine * (spacing / (1.12 * width))) * lateral
    ant *= ramp((u - 0.52) / 0.12)
    total: Map = (bone + ant) * outside * ramp((canvas.Y_HW + 0.4) / 0.8)
    return total


def _comb(table: Floats, position: Map, count: int, scale: Map) -> Map:
    nearest = np.clip(np.rint(position), 0, count - 1)
    return shell(table, (position - nearest) * scale)


def spine(canvas: Canvas, body: Body) -> Map:
    """Vertebral bodies with end plates, pedicles and spinous processes."""
    middle = curve([-12, 0, 12, 26, 45], [0, 0, body.spine_bow, 0.3 * body.spine_bow, 0])
    x = canvas.X_HW - canvas.along_y(middle) - 0.4 * body.shift
    half = canvas.along_y(curve([-10, 0, 10, 25, 40], [1.1, 1.4, 1.5, 1.8, 2.2]))
    height = body.rib_spacing * 0.98
    phase = (canvas.Y_HW - body.rib_phase) / height
    local = phase - np.floor(phase)
    body_part = 0.45 * ramp((half - np.abs(x)) / 0.7)
    near = np.minimum(local, 1 - local)
    disc, plates = ramp((0.09 - near) / 0.07), ramp((0.05 - np.abs(near - 0.13)) / 0.06)
    edge = np.exp(-(((np.abs(x) - half + 0.2) / 0.22) ** 2))
    pedicle = np.exp(
        -(((np.abs(x) - 0.62 * half) / 0.3) ** 2) - (((local - 0.40) * height / 0.42) ** 2)
    )
    process = np.exp(-((x / 0.25) ** 2) - (((local - 0.72) * height / 0.55) ** 2))
    column = body_part * (1 - 0.45 * disc + 0.25 * plates) + 0.12 * edge * (1 - 0.6 * disc)
    total: Map = column + 0.30 * pedicle + 0.30 * process
    return total


def clavicles_and_arms(canvas: Canvas, body: Body) -> Map:
    """Clavicles, humeral shafts and the spines of the scapulae as tubes with dense edges."""
    parts: list[tuple[Floats, Floats, Floats]] = []
    outer = body.half_width + body.wall
    t = np.linspace(0, 1, 110, dtype=np.float32)
    for sign in (-1, 1):
        x = sign * (1.5 + t * (outer + 0.6)) + 0.7 * body.shift * (1 - t)
        bend = 0.8 * np.sin(2 * np.pi * t) * (1 - 0.3 * t)
        y = body.clavicle_y - body.clavicle_lift * t**0.8 - bend
        half = 0.52 - 0.12 * np.sin(np.pi * t) + 0.05 * (1 - t) ** 4
        parts.append((x, y, 0.8 * half))
        parts += [(x, y + k * 0.8 * half, 0.17 + 0 * t) for k in (-1, 1)]
        shaft = sign * (outer + 2.4 + (arm_axis(body) - outer - 2.4 + 5.0 * body.arm_gap) * t)
        top = body.shoulder_y + 3.5 + 30.0 * t
        parts.append((shaft, top, 0.5 + 0 * t))
        parts += [(shaft + k, top, 0.24 + 0 * t) for k in (-0.8, 0.8)]
        medial = body.half_width * (0.98 - 0.26 * body.scapula_in)
        spine_y = 3.0 - (3.0 - body.shoulder_y + 0.6) * t
        parts.append((sign * (medial + (outer + 2.0 - medial) * t), spine_y, 0.24 + 0.12 * t))
    xs, ys, radii = (np.concatenate([p[k] for p in parts]).astype(np.float32) for k in range(3))
    return tubes(canvas, xs, ys, radii, np.concatenate([_steps(p[0], p[1]) for p in parts]))


def _steps(x: Floats, y: Floats) -> Floats:
    return np.hypot(np.gradient(x), np.gradient(y)).astype(np.float32)


def shoulders(canvas: Canvas, body: Body) -> Map:
    """Blades of the scapulae and humeral heads, both sides at once."""
    x, outer = np.abs(canvas.X_HW), body.half_width + body.wall
    medial = body.half_width * (0.98 - 0.26 * body.scapula_in)
    tip = (medial + 1.4, 14.5)
    glenoid = (outer + 0.6, body.shoulder_y + 2.6)
    slope = (tip[0] - medial) / (tip[1] - 2.5)
    from_medial = x - medial - slope * (canvas.Y_HW - 2.5)
    run = (glenoid[0] - tip[0]) / (tip[1] - glenoid[1])
    from_lateral = (tip[0] + run * (tip[1] - canvas.Y_HW) - x) / sqrt(1 + run * run)
    from_top = canvas.Y_HW - 2.0 + 0.12 * (x - medial)
    inside = np.minimum(np.minimum(from_medial, from_lateral), from_top)
    blade = 0.28 * ramp(inside / 0.3)
    blade += 0.75 * np.exp(-(((from_lateral - 0.35) / 0.38) ** 2)) * ramp((inside + 0.6) / 0.4)
    blade += 0.25 * np.exp(-((from_medial / 0.22) ** 2)) * ramp((inside + 0.5) / 0.4)
    head2 = ((x - outer - 2.4) ** 2 + (canvas.Y_HW - body.shoulder_y - 2.6) ** 2) / 2.3**2
    return blade + 1.5 * dome(head2) + 0.35 * np.exp(-(((np.sqrt(head2) - 0.97) / 0.06) ** 2))


def skeleton(canvas: Canvas, body: Body) -> Map:
    """All bone, cm of mineralised bone along each ray."""
    bone = ribs(canvas, body) + spine(canvas, body)
    bone += 1.5 * clavicles_and_arms(canvas, body) + shoulders(canvas, body)
    return bone * body.bone_density
