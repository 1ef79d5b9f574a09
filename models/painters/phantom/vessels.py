"""The pulmonary vessels: from each hilum a tree that branches and tapers to the periphery."""

import numpy as np

from models.painters.phantom.body import Body, Side
from models.painters.phantom.canvas import Canvas, Floats, Map, tubes

GENERATIONS = 6
POINTS = 12
TRUNKS = 16


def tree(rng: np.random.Generator, body: Body, side: Side) -> tuple[Floats, ...]:
    """Points along all branches of one lung: x, y, radius, step (each (branches * POINTS,))."""
    height = side.rest_y - side.apex_y
    angle = np.linspace(-1.5, 1.62, TRUNKS) + rng.normal(0, 0.12, TRUNKS)
    down = np.clip(np.sin(angle), 0, 1)
    x = 2.4 + 0.9 * np.cos(angle) + rng.normal(0, 0.3, TRUNKS)
    y = side.hilum_y + 1.3 * np.sin(angle) + rng.normal(0, 0.4, TRUNKS)
    radius = 0.36 * side.hilum_size * rng.uniform(0.65, 1.15, TRUNKS) * (0.8 + 0.35 * down)
    length = height * 0.15 * rng.uniform(0.8, 1.2, TRUNKS) * (1 + 0.15 * down)
    t = np.linspace(0, 1, POINTS)
    parts: list[tuple[Floats, ...]] = []
    for generation in range(GENERATIONS):
        bend = rng.normal(0, 0.22, len(x))
        heading = angle[:, None] + bend[:, None] * t
        step = np.broadcast_to((length / POINTS)[:, None], heading.shape)
        px = x[:, None] + np.cumsum(np.cos(heading) * step, 1)
        py = y[:, None] + np.cumsum(np.sin(heading) * step, 1)
        parts.append((px, py, radius[:, None] * (1 - 0.2 * t), step))
        fork = rng.uniform(0.08, 0.55, (2, len(x))) * np.array([[1], [-1]])
        angle = (heading[:, -1] + fork).ravel()
        x, y = np.tile(px[:, -1], 2), np.tile(py[:, -1], 2)
        radius = radius / (side.hilum_size if generation == 0 else 1.0)  # large at the hilum only
        radius = (radius * rng.uniform(0.62, 0.84, (2, len(radius)))).ravel()
        length = (length * rng.uniform(0.60, 0.95, (2, len(length)))).ravel()
    x, y, radius, step = (np.concatenate([part[k].ravel() for part in parts]) for k in range(4))
    points = (x * side.sign + body.shift, y, radius * side.vascularity, step)
    return tuple(part.astype(np.float32) for part in points)


def hilum(side: Side, body: Body) -> tuple[Floats, ...]:
    """The great arteries of one hilum as tubes: an arch over the bronchus and its descent."""
    t = np.linspace(0, 1, 40, dtype=np.float32)
    x = side.sign * (1.8 + 1.9 * np.sin(np.pi * t * 0.62)) + body.shift
    y = side.hilum_y - 1.2 + 5.0 * t**1.3
    radius = (0.95 - 0.5 * t) * side.hilum_size
    step = np.hypot(np.gradient(x), np.gradient(y))
    return tuple(part.astype(np.float32) for part in (x, y, radius, step))


def vessels(canvas: Canvas, body: Body, rng: np.random.Generator) -> Map:
    """Blood along each ray, cm, before it is cut to the lungs."""
    trees = [tree(rng, body, side) for side in body.sides] + [hilum(s, body) for s in body.sides]
    return tubes(canvas, *(np.concatenate([t[k] for t in trees]) for k in range(4)))
