"""Air replaced by fluid or lost: consolidation, pneumonia, infiltrate, edema, atelectasis."""

from dataclasses import replace

import numpy as np

from models.painters.phantom.anatomy import Lung, Scene, dome_curve
from models.painters.phantom.body import Body
from models.painters.phantom.canvas import Map, Mask, blur, ramp, rough_noise, tubes
from models.painters.phantom.placement import LEFT, Placed, Zone, position, spot
from models.painters.phantom.vessels import tree

SEEN = 0.25  # share of a drawing's full weight from which a pixel belongs to its mask


def fill(lung: Lung, weight_HW: Map, share: float) -> None:
    """Take `share` of the air away where the weight is 1."""
    lung.air_HW = lung.air_HW * (1.0 - np.clip(share * weight_HW, 0.0, 0.97))


def cloud(scene: Scene, x: float, y: float, radius: float, noise_HW: Map, soft: float) -> Map:
    """A rounded patch whose edge wanders with the noise, 0..1."""
    dx, dy = scene.canvas.X_HW - x, scene.canvas.Y_HW - y
    distance = np.sqrt(dx * dx + dy * dy) * (1.0 / radius)
    return ramp((1.0 - distance + 0.28 * noise_HW) / soft)


def consolidation(scene: Scene, placed: Placed) -> Mask:
    """A lobe without air: dense, even, sharp at its fissure, with air bronchograms."""
    rng, total = placed.rng(), scene.canvas.zeros()
    for side in placed.sides:
        lung = scene.lung(side)
        weight = _lobe(scene, lung, placed, rng)
        fill(lung, weight, 0.50 + 0.30 * placed.extent)
        _bronchograms(scene, lung, weight, rng)
        total = np.maximum(total, weight * lung.field_HW)
    return total > SEEN


def _lobe(scene: Scene, lung: Lung, placed: Placed, rng: np.random.Generator) -> Map:
    """Weight of the affected part of a lobe: sharp at the fissure, vague elsewhere."""
    options = (Zone.UPPER, Zone.LOWER, Zone.LOWER, Zone.MIDDLE)
    zone = placed.zone or options[int(rng.integers(len(options)))]
    noise = rough_noise(scene.canvas, rng, 12)
    fissure = 0.50 + 0.03 * noise + 0.10 * (lung.u_HW - 0.6) * rng.uniform(-1, 1)
    gap = lung.v_HW - fissure
    reach = 0.18 + 0.42 * placed.extent
    depth = 0.16 + 0.30 * placed.extent
    noise = noise * 0.06
    if zone in (Zone.UPPER, Zone.APEX):
        return ramp(-gap / 0.012) * ramp((gap + depth + noise) / 0.06)
    if zone in (Zone.MIDDLE, Zone.LINGULA, Zone.PERIHILAR):
        body = ramp(gap / 0.012) * ramp((depth * 0.8 - gap + noise) / 0.05)
        return body * ramp((0.30 + reach - lung.u_HW + noise) / 0.12)
    if zone is Zone.RETROCARDIAC:
        return ramp((lung.v_HW - 0.92 + depth + noise) / 0.06) * ramp((0.42 - lung.u_HW) / 0.08)
    return ramp((lung.v_HW - 1.0 + depth + noise) / 0.07)


def _bronchograms(scene: Scene, lung: Lung, weight: Map, rng: np.random.Generator) -> None:
    x, y, radius, step = tree(rng, scene.body, lung.side)
    keep = slice(0, len(x) // 8)
    air = tubes(scene.canvas, x[keep], y[keep], 0.62 * radius[keep], step[keep])
    lung.air_HW = lung.air_HW + 5.0 * air * weight


def pneumonia(scene: Scene, placed: Placed) -> Mask:
    """A segment half filled: one fluffy patch, denser in its core, with open bronchi."""
    rng, total = placed.rng(), scene.canvas.zeros()
    coarse, fine = rough_noise(scene.canvas, rng, 18), rough_noise(scene.canvas, rng, 36)
    for side in placed.sides:
        lung = scene.lung(side)
        x, y = spot(scene, placed, side, (Zone.LOWER, Zone.LOWER, Zone.MIDDLE, Zone.UPPER), rng)
        radius = 3.0 + 2.4 * placed.extent
        weight = cloud(scene, x, y, radius, coarse, 0.55)
        core = cloud(scene, x, y, 0.6 * radius, coarse, 0.5)
        texture = np.clip(0.95 + 0.12 * fine, 0.5, 1.3)
        fill(lung, (0.75 * weight + 0.45 * core) * texture, 0.52 + 0.20 * placed.extent)
        _bronchograms(scene, lung, 0.9 * weight, rng)
        total = np.maximum(total, weight * lung.field_HW)
    return total > SEEN


def infiltrate(scene: Scene, placed: Placed) -> Mask:
    """Several faint, ill-defined patches of streaks and flecks."""
    rng, total = placed.rng(), scene.canvas.zeros()
    coarse, fine = rough_noise(scene.canvas, rng, 14), rough_noise(scene.canvas, rng, 40)
    flecks = ramp((fine + 0.2) / 1.6)
    for side in placed.sides:
        lung = scene.lung(side)
        for _ in range(3 + round(4 * placed.extent)):
            x, y = spot(scene, placed, side, (Zone.UPPER, Zone.MIDDLE, Zone.LOWER), rng)
            x, y = x + rng.normal(0, 1.3), y + rng.normal(0, 1.3)
            weight = cloud(scene, x, y, 1.5 + 1.4 * placed.extent, coarse, 0.9)
            total = np.maximum(total, weight * lung.field_HW)
        fill(lung, total * flecks, 0.44 + 0.16 * placed.extent)
    return total > SEEN


def opacity(scene: Scene, placed: Placed) -> Mask:
    """One even, vague patch."""
    rng, total = placed.rng(), scene.canvas.zeros()
    noise = rough_noise(scene.canvas, rng, 10)
    for side in placed.sides:
        lung = scene.lung(side)
        x, y = spot(scene, placed, side, (Zone.LOWER, Zone.MIDDLE, Zone.UPPER), rng)
        weight = cloud(scene, x, y, 1.8 + 2.4 * placed.extent, noise, 0.6)
        fill(lung, weight, 0.34 + 0.20 * placed.extent)
        total = np.maximum(total, weight * lung.field_HW)
    return total > SEEN


def edema_shape(body: Body, placed: Placed) -> Body:
    """Wide vessels and hila, a slightly wider heart."""
    wide = 1.0 + 0.35 * placed.extent
    sides = [
        replace(side, vascularity=side.vascularity * wide, hilum_size=side.hilum_size * wide)
        for side in body.sides
    ]
    return replace(body, right=sides[0], left=sides[1])


def edema(scene: Scene, placed: Placed) -> Mask:
    """Perihilar bat wings on both sides, Kerley B lines at the lateral bases."""
    rng, total = placed.rng(), scene.canvas.zeros()
    coarse, fine = rough_noise(scene.canvas, rng, 12), rough_noise(scene.canvas, rng, 44)
    for side in placed.sides:
        lung = scene.lung(side)
        half, canvas = lung.side, scene.canvas
        x0 = side * 0.42 * scene.body.half_width
        dx = (canvas.X_HW - x0) / ((0.26 + 0.20 * placed.extent) * scene.body.half_width)
        dy = (canvas.Y_HW - half.hilum_y - 2.0) / ((0.16 + 0.20 * placed.extent) * half.rest_y)
        weight = ramp((1.0 - np.sqrt(dx * dx + dy * dy) + 0.20 * coarse) / 0.7)
        weight *= ramp((0.93 - lung.u_HW) / 0.08)
        fill(lung, weight * np.clip(0.9 + 0.25 * fine, 0, 1.3), 0.32 + 0.30 * placed.extent)
        lines = kerley(scene, side, placed.extent, rng)
        scene.soft_HW += lines * lung.field_HW
        near = blur(lines, 0.35 / canvas.pixel_cm) > 0.01
        total = np.maximum(total, np.maximum(weight, near) * lung.field_HW)
    return total > SEEN


def kerley(scene: Scene, side: int, extent: float, rng: np.random.Generator) -> Map:
    """Short horizontal lines at the pleura of the lung base, cm of fluid."""
    count, t = 5 + round(9 * extent), np.linspace(0, 1, 24)
    xs, ys, steps = [], [], []
    for v in rng.uniform(0.66, 0.95, count):
        x, y = position(scene, side, 0.975, float(v))
        length = rng.uniform(1.0, 2.0)
        xs.append(x - side * length * t)
        ys.append(y + rng.normal(0, 0.12) * t)
        steps.append(np.full(24, length / 24))
    points = [np.concatenate(part).astype(np.float32) for part in (xs, ys, steps)]
    return 6.0 * tubes(scene.canvas, points[0], points[1], np.full_like(points[0], 0.09), points[2])


def atelectasis_shape(body: Body, placed: Placed) -> Body:
    """Lost volume pulls the diaphragm up on the affected side."""
    for sign in placed.sides:
        side = body.left if sign == LEFT else body.right
        raised = replace(side, dome_y=side.dome_y - 1.5 * placed.extent)
        body = replace(body, left=raised) if sign == LEFT else replace(body, right=raised)
    return body


def atelectasis(scene: Scene, placed: Placed) -> Mask:
    """Plates: straight or slightly bowed dense bands, most at the bases, above a raised dome."""
    rng, mask = placed.rng(), scene.canvas.zeros() > 0
    for side in placed.sides:
        lung, canvas = scene.lung(side), scene.canvas
        plates = canvas.zeros()
        for _ in range(3 + round(2 * placed.extent)):
            x, y = spot(scene, placed, side, (Zone.BASE, Zone.LOWER), rng)
            plates += _plate(scene, x, y, placed.extent, rng)
        solid = plates * lung.field_HW
        scene.soft_HW += solid
        lost = lost_volume(scene, lung)
        mask |= (blur(solid, 0.12 / canvas.pixel_cm) > 0.35) | lost
    return mask


def _plate(scene: Scene, x: float, y: float, extent: float, rng: np.random.Generator) -> Map:
    length, angle = rng.uniform(3.0, 4.5) + 4.0 * extent, rng.normal(0, 0.14)
    t = np.linspace(-0.5, 0.5, 120)
    px = x + length * t * np.cos(angle)
    py = y + length * t * np.sin(angle) + rng.normal(0, 0.5) * (t**2 - 0.1)
    radius = (0.20 + 0.16 * extent) * (1 - 1.2 * t**2)
    parts = [part.astype(np.float32) for part in (px, py, radius, 0 * t + length / 120)]
    return 11.0 * tubes(scene.canvas, *parts)


def lost_volume(scene: Scene, lung: Lung) -> Mask:
    """What was lung before the diaphragm rose."""
    if lung.side.dome_y >= lung.side.rest_y:
        return scene.canvas.zeros() > 0
    before = replace(lung.side, dome_y=lung.side.rest_y)
    floor = scene.canvas.along_x(dome_curve(scene.body, before))
    now = scene.canvas.along_x(dome_curve(scene.body, lung.side))
    inside = (lung.u_HW < 1) & (lung.u_HW > 0.15)
    return inside & (now < scene.canvas.Y_HW) & (floor > scene.canvas.Y_HW)
