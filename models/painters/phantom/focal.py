"""Single round things: nodule, mass, granuloma, cavity, hiatal hernia."""

import numpy as np

from models.painters.phantom.anatomy import Scene
from models.painters.phantom.canvas import Mask, dome, ramp
from models.painters.phantom.placement import Placed, Zone, spot

ANYWHERE = (Zone.UPPER, Zone.MIDDLE, Zone.LOWER)


def _ball(
    scene: Scene, x: float, y: float, radius: float, rng: np.random.Generator, lobes: float
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Squared relative radius in a window around a ball with a lobulated outline."""
    window = scene.canvas.window(x, y, 1.6 * radius)
    dx, dy = scene.canvas.X_HW[window] - x, scene.canvas.Y_HW[window] - y
    angle = np.arctan2(dy, dx)
    wobble = 1.0 + lobes * sum(
        rng.normal(0, 0.5 / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 5)
    )
    return window, (dx * dx + dy * dy) / (radius * wobble) ** 2


def _round(scene: Scene, placed: Placed, radius: float, lobes: float, density: float) -> Mask:
    rng, mask = placed.rng(), scene.canvas.zeros() > 0
    for side in placed.sides:
        x, y = spot(scene, placed, side, ANYWHERE, rng)
        window, radius2 = _ball(scene, x, y, radius, rng, lobes)
        solid = density * 2.0 * radius * dome(radius2) ** 0.6
        room = scene.lung(side).air_HW[window]  # it takes the place of lung, not of the heart
        scene.soft_HW[window] += np.minimum(solid, 0.3 + 0.7 * room)
        mask[window] |= radius2 < 1.0
    return mask


def nodule(scene: Scene, placed: Placed) -> Mask:
    """A round, well-defined shadow less than 3 cm across."""
    return _round(scene, placed, 0.95 + 0.50 * placed.extent, 0.08, 2.4)


def mass(scene: Scene, placed: Placed) -> Mask:
    """A lobulated shadow of more than 3 cm."""
    return _round(scene, placed, 1.60 + 2.2 * placed.extent, 0.20, 1.2)


def granuloma(scene: Scene, placed: Placed) -> Mask:
    """A small, very dense, sharp calcified nodule."""
    rng, mask = placed.rng(), scene.canvas.zeros() > 0
    for side in placed.sides:
        x, y = spot(scene, placed, side, ANYWHERE, rng)
        window, radius2 = _ball(scene, x, y, 0.25 + 0.30 * placed.extent, rng, 0.15)
        scene.bone_HW[window] += (0.9 + 0.7 * placed.extent) * dome(radius2)
        mask[window] |= radius2 < 1.0
    return mask


def cavity(scene: Scene, placed: Placed) -> Mask:
    """A thick-walled ring around air, sometimes with a fluid level."""
    rng, mask = placed.rng(), scene.canvas.zeros() > 0
    for side in placed.sides:
        x, y = spot(scene, placed, side, (Zone.UPPER, Zone.UPPER, Zone.MIDDLE), rng)
        radius = 1.3 + 1.7 * placed.extent
        window, outer2 = _ball(scene, x, y, radius, rng, 0.10)
        hollow = dome(outer2 / 0.62**2) * 0.62
        level = y + rng.uniform(0.1, 0.9) * radius
        hollow *= ramp((level - scene.canvas.Y_HW[window]) / 0.1)
        scene.soft_HW[window] += 2.4 * radius * (dome(outer2) - 1.15 * hollow)
        mask[window] |= outer2 < 1.0
    return mask


def hiatal_hernia(scene: Scene, placed: Placed) -> Mask:
    """A round shadow behind the heart above the diaphragm, with an air-fluid level."""
    rng, mask = placed.rng(), scene.canvas.zeros() > 0
    radius = 2.3 + 1.9 * placed.extent
    x = rng.uniform(0.2, 1.6) + scene.body.shift
    y = scene.body.left.rest_y - 0.75 * radius + rng.uniform(-0.4, 0.4)
    window, outer2 = _ball(scene, x, y, radius, rng, 0.08)
    level = y - rng.uniform(0.0, 0.35) * radius
    pocket = dome(outer2 / 0.86**2) * ramp((level - scene.canvas.Y_HW[window]) / 0.2)
    scene.soft_HW[window] += 0.8 * radius * dome(outer2) - 1.5 * radius * pocket
    mask[window] |= outer2 < 1.0
    return mask
