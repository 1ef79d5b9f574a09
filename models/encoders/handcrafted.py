"""An image encoder without weights: statistics of what a frontal radiograph looks like.

Grey levels and edges by place tell orientation, inversion and cropping; the spectrum tells blur,
noise and texture; symmetry tells the view; sharp small structures tell burned-in text.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.encoders.configs import HandcraftedConfig
from models.encoders.seam import Matrix, Pixels
from models.engines import EngineInfo
from models.images import to_uint8

SIDE_PX = 256  # every image is brought to this side first
NUM_FEATURES = 256 + 128 + 24 + 11 + 3 + 8


class HandcraftedEncoder:
    """An ImageEncoder of plain arithmetic."""

    def __init__(self, config: HandcraftedConfig) -> None:
        self.info = EngineInfo(config.kind, config.revision(), deterministic=True)

    def embed(self, images: Sequence[Pixels]) -> Matrix:
        """Features of every image, (N, NUM_FEATURES)."""
        rows = [features(image) for image in images]
        return np.stack(rows) if rows else np.empty((0, NUM_FEATURES), np.float32)


def features(pixels_HW: Pixels) -> NDArray[np.float32]:
    """Features of one image, float32 (NUM_FEATURES,).

    Args:
        pixels_HW: Grey levels 0..255, (height, width).

    Raises:
        ValueError: If the image is no plane or holds values that are not finite.
    """
    image = Image.fromarray(to_uint8(pixels_HW))
    grey = np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR), np.float32)
    grey = (grey - grey.mean()) / max(float(grey.std()), 1.0)
    parts = [
        _block_means(grey, 16).ravel(),
        _gradient_histograms(_block_means(grey, 64)),
        _spectrum(grey),
        np.percentile(grey, np.arange(0, 101, 10)),
        _symmetry(_block_means(grey, 32)),
        _sharpness(grey),
    ]
    return np.concatenate(parts).astype(np.float32)


def _block_means(grey: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    block = SIDE_PX // side
    means: NDArray[np.float32] = grey.reshape(side, block, side, block).mean(axis=(1, 3))
    return means


def _gradient_histograms(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Edge strength by signed direction (8) in 4 x 4 cells, of unit norm: (128,)."""
    down, across = np.gradient(grey)
    direction = (np.arctan2(down, across) / (2 * np.pi) * 8).astype(int) % 8
    cell = np.arange(len(grey)) * 4 // len(grey)
    bins = (cell[:, None] * 4 + cell[None, :]) * 8 + direction
    counts = np.bincount(bins.ravel(), np.hypot(down, across).ravel(), minlength=128)
    return (counts / (np.linalg.norm(counts) + 1e-6)).astype(np.float32)


def _spectrum(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log power in 12 rings of frequency, each in two halves of direction: (24,)."""
    window = np.hanning(SIDE_PX)
    power = np.abs(np.fft.fft2(grey * window[:, None] * window[None, :])) ** 2
    frequency = np.fft.fftfreq(SIDE_PX)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    ring = np.minimum((radius * 24).astype(int), 11)
    upright = np.abs(frequency[:, None]) > np.abs(frequency[None, :])
    bins = (ring * 2 + upright).ravel()
    total = np.bincount(bins, power.ravel(), minlength=24)
    return np.log(total / np.bincount(bins, minlength=24) + 1e-6).astype(np.float32)


def _symmetry(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Correlation with the image mirrored, upside down and transposed: (3,)."""
    others = (grey[:, ::-1], grey[::-1], grey.T)
    variance = float((grey**2).mean()) + 1e-6
    return np.array([(grey * other).mean() / variance for other in others], np.float32)


def _sharpness(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log percentiles of the Laplacian, whole and where it is brightest: (8,)."""
    beside = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    second = np.abs(4 * grey[1:-1, 1:-1] - beside)
    bright = second[grey[1:-1, 1:-1] > np.percentile(grey, 95)]
    levels = [*np.percentile(second, (50, 75, 90, 99)), *_or_zero(bright)]
    logs: NDArray[np.float32] = np.log(np.array(levels, np.float32) + 1e-3)
    return logs


def _or_zero(values: NDArray[np.float32]) -> list[float]:
    if not len(values):
        return [0.0] * 4
    return [float(value) for value in np.percentile(values, (50, 75, 90, 99))]
