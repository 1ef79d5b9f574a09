"""Lines, tubes and hardware, asked for by name or lying about by chance."""

import numpy as np
from scipy.interpolate import PchipInterpolator

from models.painters.phantom.anatomy import Scene
from models.painters.phantom.canvas import Map, Mask, blur, dome, tubes
from models.painters.phantom.placement import LEFT, RIGHT, Placed

PLASTIC = 5.0  # soft-tissue equivalents of the radio-opaque wall of a catheter


def wire(scene: Scene, points: list[tuple[float, float]], radius: float) -> Map:
    """Path length through a smooth wire along control points, cm."""
    knots = np.array(points)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T) + 1e-3)])
    t = np.linspace(0, along[-1], max(24, round(12 * along[-1])))
    x, y = PchipInterpolator(along, knots)(t).T
    step = np.full(len(t), along[-1] / len(t))
    parts = (x, y, np.full(len(t), radius), step)
    return tubes(scene.canvas, *(part.astype(np.float32) for part in parts))


def _mask(scene: Scene, drawn: Map) -> Mask:
    return blur(drawn, 0.08 / scene.canvas.pixel_cm) > 0.01


def central_line(scene: Scene, placed: Placed) -> Mask:
    """A catheter from the neck or the clavicle down the superior vena cava."""
    rng, body = placed.rng(), scene.body
    side, shift = placed.sides[0], scene.body.shift
    tip = (shift - 1.6 + rng.normal(0, 0.3), body.knob_y + rng.uniform(3.0, 7.0))
    neck = (side * rng.uniform(3.0, 4.5), -12.0)
    arm = (side * rng.uniform(13, 16), body.clavicle_y + 3)
    entry = (
        [neck, (side * 2.6, -3.0)] if rng.random() < 0.6 else [arm, (side * 7.0, body.clavicle_y)]
    )
    path = [*entry, (shift - 1.2, body.knob_y - 2.0), (shift - 2.0, body.knob_y + 1.2), tip]
    drawn = wire(scene, path, 0.12)
    scene.soft_HW += 2 * PLASTIC * drawn
    return _mask(scene, drawn)


def endotracheal_tube(scene: Scene, placed: Placed) -> Mask:
    """A tube in the trachea, its tip some centimetres above the carina."""
    rng, body = placed.rng(), scene.body
    tip = body.knob_y + 2.4 - rng.uniform(2.0, 5.0)
    x = body.shift + body.trachea_shift
    walls = [
        wire(scene, [(x + d - 0.3, -14.0), (x + d, -5.0), (x + d, tip)], 0.10) for d in (-0.4, 0.4)
    ]
    drawn = walls[0] + walls[1]
    scene.soft_HW += 1.6 * PLASTIC * drawn
    return _mask(scene, drawn)


def enteric_tube(scene: Scene, placed: Placed) -> Mask:
    """A tube down the oesophagus into the stomach."""
    rng, body = placed.rng(), scene.body
    floor, s = body.left.rest_y, body.shift
    end = (rng.uniform(3.0, 8.0), floor + rng.uniform(3.0, 6.0))
    path = [(s + 0.2, -14.0), (s + 0.6, 2.0), (s + 0.3, 12.0), (s + 1.0, floor - 1.0), end]
    drawn = wire(scene, path, 0.13)
    scene.soft_HW += 1.6 * PLASTIC * drawn
    return _mask(scene, drawn)


def chest_tube(scene: Scene, placed: Placed) -> Mask:
    """A drain from the lateral wall up to the apex."""
    rng, body = placed.rng(), scene.body
    drawn = scene.canvas.zeros()
    for side in placed.sides:
        w = body.half_width
        start = (side * (w + body.wall + 2), rng.uniform(15.0, 19.0))
        bend = (side * 0.85 * w, rng.uniform(12.5, 15.0))
        drawn += wire(scene, [start, bend, (side * 0.6 * w, 7.0), (side * 0.45 * w, 2.5)], 0.2)
    scene.soft_HW += 1.2 * PLASTIC * drawn
    return _mask(scene, drawn)


def pacemaker(scene: Scene, placed: Placed) -> Mask:
    """A generator below one clavicle with leads to the right heart."""
    rng, body, canvas = placed.rng(), scene.body, scene.canvas
    side = placed.sides[0] if placed.entity.anatomy else LEFT
    x, y = side * rng.uniform(8.5, 11.0), body.clavicle_y + rng.uniform(1.5, 3.5)
    q = ((canvas.X_HW - x) / 2.3) ** 4 + ((canvas.Y_HW - y) / 1.9) ** 4
    box = 0.32 * dome(q) ** 0.5
    s, floor = body.shift, body.left.rest_y
    top, svc = (side * 5.0, body.clavicle_y - 0.3), (s - 2.0, body.knob_y + 0.8)
    apex = (0.75 * body.heart_left + s, floor - rng.uniform(1.2, 2.4))
    atrium = (s - 0.7 * body.heart_right_edge, floor - 7.0)
    leads = wire(
        scene, [(x, y), top, svc, (s - 2.2, floor - 6.0), (s + 1.0, floor - 2.2), apex], 0.10
    )
    if rng.random() < 0.6:
        leads = leads + wire(scene, [(x, y), top, svc, (s - 1.8, floor - 5.5), atrium], 0.10)
    scene.metal_HW += box + 1.2 * leads
    return _mask(scene, leads + box)


def sternal_wires(scene: Scene, placed: Placed) -> Mask:
    """Twisted wire loops down the midline."""
    rng, drawn = placed.rng(), scene.canvas.zeros()
    turn = np.linspace(0, 2 * np.pi, 14)
    for k in range(int(rng.integers(4, 8))):
        x, y = scene.body.shift + rng.normal(0, 0.25), scene.body.knob_y - 1.5 + 2.4 * k
        wide, high, tilt = rng.uniform(0.7, 1.1), rng.uniform(0.25, 0.6), rng.normal(0, 0.25)
        ring = [(x + wide * np.cos(a), y + high * np.sin(a) + tilt * np.cos(a)) for a in turn]
        drawn += wire(scene, ring, 0.06)
    scene.metal_HW += 3.0 * drawn
    return _mask(scene, drawn)


def monitoring_leads(scene: Scene, placed: Placed) -> Mask:
    """Round electrodes on the skin with their cables."""
    return leads(scene, placed.rng())


def leads(scene: Scene, rng: np.random.Generator) -> Mask:
    """Two to five electrodes, each with a cable that leaves the image."""
    body, drawn = scene.body, scene.canvas.zeros()
    w = body.half_width
    places = [(-0.7, 2.5), (0.7, 2.5), (-0.75, 17.0), (0.8, 17.5), (0.3, 13.0)]
    exit_side = RIGHT if rng.random() < 0.5 else LEFT
    for k in rng.permutation(5)[: int(rng.integers(2, 6))]:
        x, y = places[k][0] * w + rng.normal(0, 1.2), places[k][1] + rng.normal(0, 1.5)
        window = scene.canvas.window(x, y, 1.4)
        dx, dy = scene.canvas.X_HW[window] - x, scene.canvas.Y_HW[window] - y
        r2 = dx * dx + dy * dy
        scene.metal_HW[window] += 0.05 * (dome(r2 / 0.45**2) > 0) + 0.012 * (dome(r2 / 1.1**2) > 0)
        end = (exit_side * (w + 12), y + rng.uniform(-4, 14))
        middle = (0.5 * (x + end[0]) + rng.normal(0, 2), 0.5 * (y + end[1]) + rng.uniform(-1, 5))
        drawn += wire(scene, [(x, y), middle, end], 0.07)
        drawn[window] += 0.05 * (r2 < 0.45**2)
    scene.metal_HW += 0.8 * drawn
    return _mask(scene, drawn)


def surgical_clips(scene: Scene, placed: Placed) -> Mask:
    """A handful of short metal clips."""
    rng, drawn = placed.rng(), scene.canvas.zeros()
    side = placed.sides[0]
    x0, y0 = side * rng.uniform(0.0, 9.0), rng.uniform(3.0, 22.0)
    for _ in range(int(rng.integers(3, 8))):
        x, y, a = x0 + rng.normal(0, 1.2), y0 + rng.normal(0, 1.5), rng.uniform(0, np.pi)
        drawn += wire(scene, [(x, y), (x + 0.6 * np.cos(a), y + 0.6 * np.sin(a))], 0.06)
    scene.metal_HW += 3.0 * drawn
    return _mask(scene, drawn)


def clutter(scene: Scene, rng: np.random.Generator, portable: bool) -> None:
    """What lies on and in patients without anybody asking: leads and outer tubing."""
    if rng.random() < (0.55 if portable else 0.06):
        leads(scene, rng)
    if rng.random() < (0.25 if portable else 0.03):
        x, side = rng.uniform(2, 14), (RIGHT if rng.random() < 0.5 else LEFT)
        path = [(side * x, -16.0), (side * (x + rng.normal(0, 3)), 0.0)]
        path += [(side * (x + rng.normal(0, 3)), 8.0), (side * 22.0, rng.uniform(14, 30))]
        scene.soft_HW += 1.5 * PLASTIC * wire(scene, path, 0.16)
