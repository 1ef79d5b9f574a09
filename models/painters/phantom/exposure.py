"""From thickness to grey levels: Beer-Lambert attenuation, scatter, noise, detector, window."""

from dataclasses import dataclass
from math import exp

import numpy as np
from scipy import ndimage

from models.painters.phantom.anatomy import Scene
from models.painters.phantom.canvas import Canvas, Map, enlarge_weights

# Effective linear attenuation, 1/cm, of a 90-120 kV chest exposure (NIST XCOM at 60 keV, hardened).
SOFT_PER_CM = 0.19
BONE_PER_CM = 0.36  # added to the soft tissue it replaces
METAL_PER_CM = 6.0
VESSEL_GAIN = 1.5  # branches below the tree's last generation crowd around the drawn ones
LUNG_AIR_SHARE = 0.80  # of the lung's thickness; the rest is tissue and blood


@dataclass(frozen=True, slots=True)
class Technique:
    """How the radiograph was exposed and processed.

    Attributes:
        photons: Mean quanta per pixel in air.
        scatter: Scatter-to-primary ratio behind the trunk.
        detail: Gain of detail enhancement against the local mean.
        slope: Steepness of the sigmoid display curve.
        middle: Where it is steepest, share of the signal's range.
        low: Grey level given to air.
        white: Percentile of the signal given the highest grey level.
        high: Grey level given to the densest tissue.
    """

    photons: float
    scatter: float
    detail: float
    slope: float
    middle: float
    low: float
    white: float
    high: float


def draw_technique(rng: np.random.Generator, portable: bool) -> Technique:
    """A random exposure; portable ones are noisier, with more scatter."""
    u = rng.uniform
    return Technique(
        photons=float(np.exp(u(11.0, 12.8) - (0.7 if portable else 0.0))),
        scatter=u(0.03, 0.16) + (0.10 if portable else 0.0),
        detail=u(0.4, 1.5),
        slope=(u(1.5, 3.5) if portable else u(2.0, 5.0)),
        middle=u(0.44, 0.72),
        low=u(2, 40) if rng.random() < 0.85 else u(40, 90),
        white=(u(82, 95) if portable else u(86, 98)),
        high=u(208, 245),
    )


def attenuation(scene: Scene) -> Map:
    """Attenuation lengths along each ray: the sum of mu times thickness over the tissues."""
    air = scene.right.air_HW + scene.left.air_HW
    seen = np.clip(air * 0.22 - 0.35, 0.0, 1.0)  # a vessel shows only where there is air around it
    total = SOFT_PER_CM * (
        scene.soft_HW - LUNG_AIR_SHARE * air + VESSEL_GAIN * scene.vessels_HW * seen
    )
    total += BONE_PER_CM * scene.bone_HW + METAL_PER_CM * scene.metal_HW
    return np.maximum(total, 0.0)


def expose(
    attenuation_HW: Map, canvas: Canvas, technique: Technique, rng: np.random.Generator
) -> Map:
    """The detector's logarithmic signal behind an attenuation map, in attenuation lengths."""
    primary = np.exp(-attenuation_HW)
    scattered = _low_pass(primary, 2.5 / canvas.pixel_cm)
    total = primary + technique.scatter * scattered
    total += np.sqrt(total * (1.0 / technique.photons)) * rng.standard_normal(
        total.shape, dtype=np.float32
    )
    signal = -np.log(np.maximum(total, 1e-4))
    local = signal - _low_pass(signal, 1.6 / canvas.pixel_cm)
    enhanced: Map = signal + 0.6 * technique.detail * local
    return enhanced


def _low_pass(map_HW: Map, sigma_px: float) -> Map:
    size = map_HW.shape[0]
    small = map_HW.reshape(size // 8, 8, size // 8, 8).mean(axis=(1, 3))
    small = ndimage.gaussian_filter(small, sigma_px / 8, mode="nearest")
    weights = enlarge_weights(size // 8)
    return weights @ small @ weights.T


def develop(signal_HW: Map, technique: Technique) -> Map:
    """Grey levels 0..255: histogram normalisation and a sigmoid display curve."""
    low, high = map(float, np.percentile(signal_HW[::4, ::4], [1, technique.white]))
    t = (signal_HW - low) * (1.0 / max(high - low, 1e-3))
    k, middle = technique.slope, technique.middle
    bottom, top = 1 / (1 + exp(k * middle)), 1 / (1 + exp(k * (middle - 1)))
    t = (1.0 / (1.0 + np.exp(k * (middle - t))) - bottom) * (1.0 / (top - bottom))
    grey: Map = np.clip(technique.low + (technique.high - technique.low) * t, 0.0, 255.0)
    return grey
