"""The pleural space: effusion, thickening, pneumothorax."""

import numpy as np

from models.painters.phantom.airspace import SEEN, fill
from models.painters.phantom.anatomy import Scene, inner_wall
from models.painters.phantom.canvas import Map, Mask, ramp, smooth_noise
from models.painters.phantom.placement import Placed, Zone


def pleural_effusion(scene: Scene, placed: Placed) -> Mask:
    """Fluid with a meniscus that climbs the lateral wall, from a blunted angle to half a chest."""
    return _fluid(scene, placed, 0.5 + 9.5 * placed.extent**1.5)


def blunted_angle(scene: Scene, placed: Placed) -> Mask:
    """Just enough fluid to fill the costophrenic angle."""
    return _fluid(scene, placed, 0.6 + 1.6 * placed.extent)


def _fluid(scene: Scene, placed: Placed, depth: float) -> Mask:
    """Fluid of `depth` cm above the middle of the costophrenic recess."""
    rng, total = placed.rng(), scene.canvas.zeros()
    for side in placed.sides:
        lung, canvas = scene.lung(side), scene.canvas
        half = lung.side
        bottom = half.dome_y + half.dome_rise
        height = depth + half.dome_rise * 0.45
        climb = rng.uniform(2.2, 3.4)
        level = bottom - height * (0.50 + 0.50 * lung.u_HW**climb) - 0.4 * (1 - lung.u_HW)
        weight = ramp((canvas.Y_HW - level) / (0.45 + 0.25 * placed.extent))
        visible = weight * (lung.field_HW > 0.5)
        fill(lung, weight, 0.97)
        scene.soft_HW += 1.5 * weight * (lung.u_HW < 1) * (lung.u_HW > 0.05) * lung.field_HW
        total = np.maximum(total, visible)
    return total > 0.4


def wall_distance(scene: Scene, side: int) -> Map:
    """Distance from the inner chest wall into the lung, cm, measured horizontally."""
    wall = scene.canvas.along_y(inner_wall(scene.body))
    return wall - side * scene.canvas.X_HW


def pleural_thickening(scene: Scene, placed: Placed) -> Mask:
    """A dense band with an uneven inner edge along the lateral wall, or a cap on the apex."""
    rng, total = placed.rng(), scene.canvas.zeros()
    for side in placed.sides:
        lung = scene.lung(side)
        noise = smooth_noise(scene.canvas, rng, 18)
        width = (0.75 + 1.1 * placed.extent) * (1 + 0.25 * noise)
        if placed.zone in (Zone.APEX, Zone.UPPER) or (placed.zone is None and rng.random() < 0.25):
            weight = ramp((0.07 + 0.08 * placed.extent + 0.015 * noise - lung.v_HW) / 0.02)
        else:
            start = rng.uniform(0.15, 0.45)
            span = ramp((lung.v_HW - start) / 0.12) * ramp((1.02 - lung.v_HW) / 0.05)
            weight = ramp((width * span - wall_distance(scene, side)) / 0.22) * span
        weight = weight * lung.field_HW
        fill(lung, weight, 0.9)
        scene.soft_HW += 3.0 * weight
        total = np.maximum(total, weight)
    return total > SEEN


def pneumothorax(scene: Scene, placed: Placed) -> Mask:
    """Air outside the lung: a fine pleural line, and beyond it no vessels."""
    rng, total = placed.rng(), scene.canvas.zeros()
    for side in placed.sides:
        lung = scene.lung(side)
        down = np.clip(lung.v_HW, 0, 1)
        gap = (1.0 + 4.6 * placed.extent) * (1.0 - 0.75 * down ** rng.uniform(0.7, 1.6))
        gap = gap * (1 + 0.06 * smooth_noise(scene.canvas, rng, 6))
        top = (0.08 + 0.12 * placed.extent) * rng.uniform(0.8, 1.2)
        inward = np.minimum(gap - wall_distance(scene, side), 99.0)
        above = (top - lung.v_HW) * lung.side.rest_y
        apart = inward - above  # a rounded maximum: the lung falls away from wall and apex alike
        distance = 0.5 * (inward + above + np.sqrt(apart * apart + 6.0)) - 0.6
        space = ramp(distance / 0.15) * lung.field_HW
        line = np.exp(-((distance / 0.16) ** 2)) * lung.field_HW
        scene.vessels_HW = scene.vessels_HW * (1 - space)
        fill(lung, (1 - space) * lung.field_HW, 0.10 + 0.16 * placed.extent)
        lung.air_HW = lung.air_HW + space * (0.9 + 0.5 * placed.extent)
        scene.soft_HW += 1.1 * line
        total = np.maximum(total, np.maximum(space, line > 0.5))
    return total > 0.5
