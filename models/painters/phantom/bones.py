"""Findings of bone: rib fracture."""

from math import sqrt

import numpy as np

from models.painters.phantom.anatomy import Scene, inner_wall
from models.painters.phantom.canvas import Mask, ramp
from models.painters.phantom.placement import Placed, at


def rib_fracture(scene: Scene, placed: Placed) -> Mask:
    """A gap and a step in one or more lateral ribs, with callus around it."""
    rng, mask = placed.rng(), scene.canvas.zeros() > 0
    body, canvas = scene.body, scene.canvas
    for side in placed.sides:
        first, u = int(rng.integers(3, 7)), rng.uniform(0.72, 0.90)
        for k in range(first, first + 1 + round(2 * placed.extent)):
            y = body.rib_phase + k * body.rib_spacing - 0.8 * body.rib_drop * sqrt(1 - u * u)
            x = side * u * (at(inner_wall(body), y) + 0.35)
            window = canvas.window(x, y, 1.4)
            dx, dy = canvas.X_HW[window] - x, canvas.Y_HW[window] - y
            r2 = dx * dx + dy * dy
            gap = ramp((0.22 - np.abs(dx + 0.4 * side * dy)) / 0.08) * (r2 < 0.9**2)
            scene.bone_HW[window] *= 1 - 0.9 * gap
            scene.bone_HW[window] += 0.55 * np.exp(-r2 / 0.5**2) * (1 - gap)
            mask[window] |= r2 < 1.0
    return mask
