"""Lines in the lung: fibrosis, interstitial markings, bronchiectasis."""

import numpy as np

from models.painters.phantom.airspace import lost_volume
from models.painters.phantom.anatomy import Scene
from models.painters.phantom.canvas import Floats, Map, Mask, blur, tubes
from models.painters.phantom.placement import ZONE_BOX, Placed, position

SEGMENT_POINTS = 10


def _net(
    scene: Scene, u: Floats, v: Floats, side: int, size: float, rng: np.random.Generator
) -> Map:
    """Short bent lines scattered around the given places, cm of tissue."""
    places = np.array([position(scene, side, a, b, 0.3) for a, b in zip(u, v, strict=True)])
    t = np.linspace(0, 1, SEGMENT_POINTS)
    angle = rng.uniform(0, 2 * np.pi, len(u))[:, None] + rng.normal(0, 1.1, len(u))[:, None] * t
    step = (size * rng.uniform(0.5, 1.4, len(u)) / SEGMENT_POINTS)[:, None]
    x = places[:, :1] + np.cumsum(np.cos(angle) * step, 1)
    y = places[:, 1:] + np.cumsum(np.sin(angle) * step, 1)
    parts = (x, y, np.full_like(x, 0.075), np.broadcast_to(step, x.shape))
    return tubes(scene.canvas, *(part.astype(np.float32) for part in parts))


def _scatter(
    placed: Placed, count: int, usual: tuple[float, float, float, float], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    u0, u1, v0, v1 = ZONE_BOX[placed.zone] if placed.zone else usual
    u1 = 0.98 if u1 > 0.8 else u1
    u = u0 + (u1 - u0) * rng.beta(1.8, 1.0, count)
    return u.astype(np.float32), rng.uniform(v0, v1, count).astype(np.float32)


def _draw_net(
    scene: Scene, placed: Placed, count: int, usual: tuple[float, float, float, float], gain: float
) -> Mask:
    rng, mask = placed.rng(), scene.canvas.zeros() > 0
    for side in placed.sides:
        lung = scene.lung(side)
        u, v = _scatter(placed, count, usual, rng)
        net = _net(scene, u, v, side, 1.6, rng) * lung.field_HW
        scene.soft_HW += gain * net
        mask |= (blur(net, 0.5 / scene.canvas.pixel_cm) > 0.012) & (lung.field_HW > 0.5)
    return mask


def fibrosis(scene: Scene, placed: Placed) -> Mask:
    """A reticular net at the bases and the periphery, above raised diaphragms."""
    count = round(110 + 230 * placed.extent)
    mask = _draw_net(scene, placed, count, (0.45, 0.98, 0.60, 0.99), 20.0)
    for side in placed.sides:
        mask |= lost_volume(scene, scene.lung(side))
    return mask


def interstitial_markings(scene: Scene, placed: Placed) -> Mask:
    """Fine lines all over both lungs."""
    return _draw_net(
        scene, placed, round(160 + 300 * placed.extent), (0.25, 0.97, 0.15, 0.97), 10.0
    )


def bronchiectasis(scene: Scene, placed: Placed) -> Mask:
    """Tram lines and rings: wide bronchi with thick walls."""
    rng, mask = placed.rng(), scene.canvas.zeros() > 0
    turn = np.linspace(0, 2 * np.pi, 40)
    u0, u1, v0, v1 = ZONE_BOX[placed.zone] if placed.zone else (0.3, 0.75, 0.5, 0.92)
    for side in placed.sides:
        lung, parts = scene.lung(side), []
        for _ in range(8 + round(14 * placed.extent)):
            x, y = position(scene, side, rng.uniform(u0, u1), rng.uniform(v0, v1))
            r = rng.uniform(0.25, 0.5)
            stretch = rng.uniform(1.0, 3.0)
            tilt = rng.normal(1.0, 0.4) * side
            a, b = r * stretch * np.cos(turn), r * np.sin(turn)
            px, py = (
                x + a * np.cos(tilt) - b * np.sin(tilt),
                y + a * np.sin(tilt) + b * np.cos(tilt),
            )
            parts.append((px, py, np.full(40, 0.08), np.hypot(np.gradient(px), np.gradient(py))))
        points = (np.concatenate([p[k] for p in parts]).astype(np.float32) for k in range(4))
        rings = tubes(scene.canvas, *points) * lung.field_HW
        scene.soft_HW += 16.0 * rings
        mask |= (blur(rings, 0.3 / scene.canvas.pixel_cm) > 0.012) & (lung.field_HW > 0.5)
    return mask
