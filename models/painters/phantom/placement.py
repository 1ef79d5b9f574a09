"""Where a finding goes: side and zone from anatomy words, positions in the lung, extents."""

import zlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.painters.phantom.anatomy import Scene, inner_wall
from models.painters.phantom.canvas import CURVE_START_CM, CURVE_STEP_CM, Floats
from models.painters.phantom.mediastinum import left_border, right_border
from storage.records import Entity, EntityStatus, Severity

RIGHT, LEFT = -1, 1

EXTENT = {Severity.MILD: 0.35, Severity.MODERATE: 0.65, Severity.SEVERE: 1.0}
UNCERTAIN_EXTENT = 0.35  # an uncertain finding is drawn as a mild one


class Zone(StrEnum):
    """Parts of a lung as projected."""

    APEX = "apex"
    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"
    BASE = "base"
    PERIHILAR = "perihilar"
    LINGULA = "lingula"
    RETROCARDIAC = "retrocardiac"
    ANGLE = "costophrenic angle"


# (u from, u to, v from, v to): u lateral 0 midline to 1 chest wall, v 0 apex to 1 diaphragm.
ZONE_BOX: dict[Zone, tuple[float, float, float, float]] = {
    Zone.APEX: (0.30, 0.90, 0.04, 0.20),
    Zone.UPPER: (0.35, 0.85, 0.12, 0.42),
    Zone.MIDDLE: (0.35, 0.85, 0.45, 0.68),
    Zone.LOWER: (0.35, 0.85, 0.62, 0.90),
    Zone.BASE: (0.35, 0.85, 0.78, 0.94),
    Zone.PERIHILAR: (0.30, 0.50, 0.36, 0.60),
    Zone.LINGULA: (0.50, 0.80, 0.55, 0.82),
    Zone.RETROCARDIAC: (0.12, 0.32, 0.70, 0.92),
    Zone.ANGLE: (0.78, 0.92, 0.84, 0.97),
}

_ZONE_WORDS: tuple[tuple[str, Zone], ...] = (
    ("lingul", Zone.LINGULA),
    ("retrocardiac", Zone.RETROCARDIAC),
    ("costophrenic", Zone.ANGLE),
    ("apex", Zone.APEX),
    ("apical", Zone.APEX),
    ("apices", Zone.APEX),
    ("perihilar", Zone.PERIHILAR),
    ("hilum", Zone.PERIHILAR),
    ("hilar", Zone.PERIHILAR),
    ("hila", Zone.PERIHILAR),
    ("base", Zone.BASE),
    ("basal", Zone.BASE),
    ("basilar", Zone.BASE),
    ("upper", Zone.UPPER),
    ("middle", Zone.MIDDLE),
    ("mid", Zone.MIDDLE),
    ("lower", Zone.LOWER),
)
_BOTH_WORDS = frozenset(
    {"bilateral", "bilaterally", "both", "bibasilar", "biapical", "lungs", "bases", "apices"}
    | {"hila", "lobes", "zones", "regions", "spaces", "angles", "thorax", "axillae", "clavicles"}
)


@dataclass(frozen=True, slots=True)
class Placed:
    """One finding, decided: what, on which sides, in which zone, how much.

    Attributes:
        entity: The request.
        sides: RIGHT, LEFT or both.
        zone: None where the words name none; the drawing takes its usual place.
        extent: 0.35 mild, 0.65 moderate, 1 severe; anything between where none was stated.
        seed: Of this finding's own random stream.
    """

    entity: Entity
    sides: tuple[int, ...]
    zone: Zone | None
    extent: float
    seed: tuple[int, int]

    def rng(self) -> np.random.Generator:
        """A fresh generator of this finding's stream."""
        return np.random.Generator(np.random.PCG64(self.seed))


def place(entity: Entity, seed: int, usually_both: bool) -> Placed:
    """Decide side, zone and extent of one entity; what the words leave open comes from the seed.

    Args:
        entity: A clinical entity that is present or uncertain.
        seed: The request's seed.
        usually_both: True for findings that affect both lungs unless a side is named.
    """
    where = entity.anatomy or entity.text
    stream = zlib.crc32(f"{entity.text}|{entity.anatomy}".encode())
    rng = np.random.Generator(np.random.PCG64([seed, stream, 1]))
    zone = next((zone for word, zone in _ZONE_WORDS if word in where), None)
    drawn = RIGHT if rng.random() < 0.5 else LEFT
    free = float(rng.uniform(0.5, 0.9))
    sides = _sides(set(where.split()), zone, drawn, usually_both)
    return Placed(entity, sides, zone, _extent(entity, free), (seed, stream))


def _sides(words: set[str], zone: Zone | None, drawn: int, usually_both: bool) -> tuple[int, ...]:
    left, right = "left" in words, "right" in words
    if (left and right) or words & _BOTH_WORDS:
        return RIGHT, LEFT
    if left or right:
        return (LEFT,) if left else (RIGHT,)
    if zone in (Zone.LINGULA, Zone.RETROCARDIAC):
        return (LEFT,)
    if {"middle", "lobe"} <= words:
        return (RIGHT,)
    return (RIGHT, LEFT) if usually_both else (drawn,)


def _extent(entity: Entity, free: float) -> float:
    extent = free if entity.severity is None else EXTENT[entity.severity]
    return min(extent, UNCERTAIN_EXTENT) if entity.status is EntityStatus.UNCERTAIN else extent


def at(table: Floats, position_cm: float) -> float:
    """A curve's value at one position."""
    index = int((position_cm - CURVE_START_CM) / CURVE_STEP_CM)
    return float(table[min(max(index, 0), len(table) - 1)])


def position(
    scene: Scene, side: int, u: float, v: float, margin: float = 0.8
) -> tuple[float, float]:
    """Patient (x, y) at a place of a lung, pushed out of the mediastinum by `margin` cm."""
    half = scene.lung(side).side
    y = half.apex_y + v * (half.dome_y + 0.10 * half.dome_rise - half.apex_y)
    wall = at(inner_wall(scene.body), y)
    border = left_border(scene.body) if side > 0 else right_border(scene.body)
    nearest = side * at(border, y) + margin
    return side * max(u * wall, min(nearest, wall - margin)), y


def spot(
    scene: Scene, placed: Placed, side: int, usual: tuple[Zone, ...], rng: np.random.Generator
) -> tuple[float, float]:
    """A random patient (x, y) in the finding's zone, or in one of its usual zones."""
    zone = placed.zone or usual[int(rng.integers(len(usual)))]
    u0, u1, v0, v1 = ZONE_BOX[zone]
    margin = -1.5 if zone is Zone.RETROCARDIAC else 0.8
    return position(scene, side, rng.uniform(u0, u1), rng.uniform(v0, v1), margin)
