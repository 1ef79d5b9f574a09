"""Thickness maps of a normal chest: trunk, lungs, breasts, gas; and the scene they make up."""

from dataclasses import dataclass

import numpy as np

from models.painters.phantom.body import Body, Side
from models.painters.phantom.canvas import (
    CURVE_GRID,
    Canvas,
    Floats,
    Map,
    curve,
    dome,
    ramp,
    rough_noise,
)
from models.painters.phantom.mediastinum import airways, mediastinum


@dataclass(slots=True)
class Lung:
    """One lung as projected.

    Attributes:
        side: Its half of the body.
        field_HW: 1 inside the visible lung field, 0 outside, soft at its edges.
        air_HW: Thickness of aerated lung, cm; findings take from it and add to it.
        u_HW: Lateral position: 0 at the midline, 1 at the inner chest wall.
        v_HW: Height: 0 at the apex, 1 at the diaphragm below.
    """

    side: Side
    field_HW: Map
    air_HW: Map
    u_HW: Map
    v_HW: Map


@dataclass(slots=True)
class Scene:
    """Thickness maps, cm, of all that attenuates; findings and devices add to them.

    Attributes:
        canvas: The pixel grid.
        body: The patient.
        soft_HW: Soft tissue and fluid, the space of the lungs included.
        bone_HW: Mineralised bone and calcium.
        metal_HW: Metal.
        heart_HW: The heart alone.
        vessels_HW: Blood in the lungs.
        right: The right lung, in the left half of the image.
        left: The left lung.
    """

    canvas: Canvas
    body: Body
    soft_HW: Map
    bone_HW: Map
    metal_HW: Map
    heart_HW: Map
    vessels_HW: Map
    right: Lung
    left: Lung

    @property
    def lungs(self) -> tuple[Lung, Lung]:
        """Right, then left."""
        return self.right, self.left

    def lung(self, sign: int) -> Lung:
        """The lung of one side: -1 right, +1 left."""
        return self.right if sign < 0 else self.left


def inner_wall(body: Body) -> Floats:
    """Inner half width of the thorax over y, cm (a curve)."""
    top, bottom = -0.5, max(body.right.rest_y, body.left.rest_y)
    t = np.clip((CURVE_GRID - top) / (bottom * 0.92 - top), 0, 1)
    apex = 0.32 * body.half_width
    rise = np.sqrt(1 - (1 - t) ** body.shape)
    taper = 1 - 0.05 * np.clip((CURVE_GRID - bottom) / 8, 0, 1)
    wall: Floats = ((apex + (body.half_width - apex) * rise) * taper).astype(np.float32)
    return wall


def trunk(canvas: Canvas, body: Body) -> Map:
    """Path length through the trunk, neck, shoulders and arms, cm."""
    outer, sy = body.half_width + body.wall, body.shoulder_y
    neck = 4.9 + 2.0 * body.habitus
    heights = (-18, -9, -6, -3.5, -1.2, 1.5, 4, 7, 11)
    widths = [7.0, neck, neck + 1.2, neck + 4.5, neck + 9.5, outer + 3.8, outer + 4.2, outer + 2.4]
    half = curve([*(sy + y for y in heights), 50], [*widths, outer + 0.4, outer])
    relative = (0.66, 0.58, 0.62, 0.70, 0.78, 0.84, 0.94, 1.0, 1.06, 1.08 + 0.1 * body.habitus)
    depth = curve(
        [sy - 18, sy - 9, sy - 6, sy - 3, sy, sy + 3, 8, 14, 24, 34],
        [body.half_depth * k for k in relative],
    )
    across = np.abs(canvas.X_HW) / canvas.along_y(half)
    torso = 2.0 * canvas.along_y(depth) * np.sqrt(np.maximum(1.0 - across**3, 0.0))
    return torso + _arms(canvas, body)


def arm_radius(body: Body) -> float:
    """Radius of an upper arm, cm."""
    return 4.2 + 2.4 * body.habitus


def arm_axis(body: Body) -> float:
    """Lateral place of the axis of an upper arm at the axilla, cm."""
    return body.half_width + body.wall + 3.5 * body.arm_gap + 0.75 * arm_radius(body)


def _arms(canvas: Canvas, body: Body) -> Map:
    radius, start = arm_radius(body), arm_axis(body)
    lean = 0.25 * body.arm_gap
    top = body.shoulder_y + 4.0
    across = (np.abs(canvas.X_HW) - start - lean * (canvas.Y_HW - top)) / radius
    return 2.0 * radius * dome(across * across) * ramp((canvas.Y_HW - top) / 3.0)


def dome_curve(body: Body, side: Side) -> Floats:
    """Height of one hemidiaphragm over signed x, cm (a curve)."""
    across = (0.0, 0.18, 0.48, 0.76, 0.90, 1.0, 1.2)
    fall = (0.36, 0.20, 0.0, 0.22, 0.60, 1.05, 1.6)
    skew = side.dome_peak - 0.48  # moves the top, leaves midline and wall in place
    xs = [side.sign * (f + skew * max(1.0 - abs(f - 0.48) / 0.48, 0.0)) for f in across]
    xs = [x * body.half_width for x in xs]
    wave = (0.0, 0.6, 0.0, -0.8, -0.3, 0.0, 0.0)
    ys = [
        side.dome_y + f * side.dome_rise + side.dome_wave * w
        for f, w in zip(fall, wave, strict=True)
    ]
    return curve(xs, ys) if side.sign > 0 else curve(xs[::-1], ys[::-1])


def make_lung(canvas: Canvas, body: Body, side: Side, wall_HW: Map) -> Lung:
    """One lung: outline, thickness and the coordinates findings are placed by."""
    x = canvas.X_HW * side.sign
    apex_x = 0.32 * body.half_width
    u = np.maximum(x, 0.0) / wall_HW
    medial = curve([-1.0, 1.5, 4.0, 8.0, 40.0], [apex_x * 0.95, 0.65 * apex_x, 2.2, 1.4, 1.0])
    top = ramp((canvas.Y_HW - side.apex_y - 0.09 * (x - apex_x) ** 2 + 0.2) / 0.35)
    floor = canvas.along_x(dome_curve(body, side))
    v = (canvas.Y_HW - side.apex_y) / (floor - side.apex_y)
    edge = ramp((floor - canvas.Y_HW) / 0.22)
    outline = top * ramp((x - canvas.along_y(medial)) / 1.3)
    depth = curve([-0.5, 0.0, 2, 6, 12, 20, 40], [0.34, 0.40, 0.58, 0.85, 1.0, 1.0, 0.95])
    chord = np.sqrt(np.maximum(1.0 - u**3, 0.0))
    behind = 0.10 * (1 - edge) * np.exp(np.minimum((floor - canvas.Y_HW) / 2.5, 0.0))
    air = canvas.along_y(depth) * (1.74 * body.half_depth * side.volume)
    air *= chord * outline * (edge + behind)
    return Lung(side, outline * edge * (u < 1), air, u, v)


def breasts(canvas: Canvas, body: Body) -> Map:
    """Path length through the breasts, cm: soft above, with a sharp lower crescent."""
    total = canvas.zeros()
    if body.breast <= 0:
        return total
    rx, ry = 5.0 + 2.6 * body.breast, 4.4 + 3.4 * body.breast
    for sign in (-1, 1):
        x = sign * body.half_width * body.breast_x
        y = body.breast_y - 0.6 * ry + (0.5 if sign > 0 else 0.0)
        q = (canvas.Y_HW - y) / ry
        upper = np.where(q < 0, 0.42, 1.0).astype(np.float32)
        radius2 = ((canvas.X_HW - x) / rx) ** 2 + (q * upper) ** 2
        fade = ramp((q + 1.6) / 1.2)
        total += (1.8 + 3.2 * body.breast) * dome(radius2) * fade
    return total


def gas(canvas: Canvas, body: Body, rng: np.random.Generator) -> Map:
    """Air in stomach and colon below the diaphragm, cm."""
    total = canvas.zeros()
    top, x0 = body.left.rest_y, 0.5 * body.half_width
    level = top + rng.uniform(1.6, 4.0)
    wide, high, fill = rng.uniform(1.6, 4.2), rng.uniform(1.2, 2.8), rng.uniform(-0.5, 4.0)
    bubble = dome(((canvas.X_HW - x0) / wide) ** 2 + ((canvas.Y_HW - level) / high) ** 2)
    flat = ramp((level + rng.uniform(0, 1.2) * high - canvas.Y_HW) / 0.15)
    total += max(fill, 0.0) * bubble * flat
    for _ in range(rng.integers(0, 7)):
        x, y = rng.uniform(-0.2, 0.95) * body.half_width, top + rng.uniform(4, 9)
        r = rng.uniform(0.6, 1.6)
        rows, columns = canvas.window(x, y, 2 * r)
        dx, dy = canvas.X_HW[rows, columns] - x, canvas.Y_HW[rows, columns] - y
        total[rows, columns] += rng.uniform(0.5, 2.5) * dome((dx / (1.5 * r)) ** 2 + (dy / r) ** 2)
    return total


def build(canvas: Canvas, body: Body, rng: np.random.Generator) -> Scene:
    """The chest without bones and vessels."""
    wall = canvas.along_y(inner_wall(body))
    solid, heart = mediastinum(canvas, body)
    right = make_lung(canvas, body, body.right, wall)
    left = make_lung(canvas, body, body.left, wall)
    for lung in (right, left):
        kept = np.maximum(lung.air_HW - 1.5 * solid, 0.10 * lung.air_HW)
        lung.air_HW = kept.astype(np.float32)
    trunk_HW = trunk(canvas, body)
    texture = rough_noise(canvas, rng, 40)
    muscle = 0.45 * rough_noise(canvas, rng, 6) * (trunk_HW > 1.0)
    soft = trunk_HW + muscle + breasts(canvas, body) - airways(canvas, body)
    for lung in (right, left):
        crowd = np.clip(0.35 + 0.5 * lung.v_HW, 0, 1) * (1 - 0.5 * lung.u_HW)
        lung.air_HW *= 1.0 - 0.045 * texture * crowd
    soft -= gas(canvas, body, rng) * (body.left.dome_y < canvas.Y_HW)
    empty = canvas.zeros()
    return Scene(canvas, body, soft, empty, canvas.zeros(), heart, canvas.zeros(), right, left)
