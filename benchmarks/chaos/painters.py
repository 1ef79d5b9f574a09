"""Painters of the chaos run, made known to every process of its fleet as a package would be."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from models.engines import EngineInfo, PaintedImage, PaintRequest
from models.painters.configs import PhantomConfig
from models.painters.phantom.painter import PhantomPainter

SECONDS_AN_IMAGE = 0.15  # long enough that kills find an engine amid a batch
ENTRY_POINTS = """[cxr_factory.painters]
unhurried = benchmarks.chaos.painters:UnhurriedConfig
moody = benchmarks.chaos.painters:MoodyConfig
"""
_PROJECT = Path(__file__).parents[2]


class UnhurriedConfig(PhantomConfig):
    """Phantoms, byte for byte, that take their time."""

    kind: Literal["unhurried"] = "unhurried"  # type: ignore[assignment]

    def open(self) -> "UnhurriedPainter":  # type: ignore[override]
        """The phantom's painter, slowed down."""
        return UnhurriedPainter(PhantomPainter(self))


class UnhurriedPainter:
    """Waits before every batch."""

    def __init__(self, phantom: PhantomPainter) -> None:
        self.info = phantom.info
        self.max_batch_size = 4
        self._phantom = phantom

    def paint(self, requests: Sequence[PaintRequest]) -> list[PaintedImage]:
        """The phantom's images, later."""
        time.sleep(SECONDS_AN_IMAGE * len(requests))
        return self._phantom.paint(requests)

    def close(self) -> None:
        """Nothing to give back."""


class MoodyConfig(PhantomConfig):
    """Phantoms with noise that no seed gives again, as a GPU's last bits."""

    kind: Literal["moody"] = "moody"  # type: ignore[assignment]

    def open(self) -> "MoodyPainter":  # type: ignore[override]
        """The phantom's painter under a noise of its own."""
        return MoodyPainter(PhantomPainter(self))


class MoodyPainter(UnhurriedPainter):
    """Answers the same request otherwise each time."""

    def __init__(self, phantom: PhantomPainter) -> None:
        super().__init__(phantom)
        self.info = EngineInfo(phantom.info.kind, phantom.info.revision, deterministic=False)

    def paint(self, requests: Sequence[PaintRequest]) -> list[PaintedImage]:
        """The phantom's images, each pixel a little off."""
        return [_noisy(image) for image in super().paint(requests)]


def _noisy(image: PaintedImage) -> PaintedImage:
    noise = np.frombuffer(os.urandom(image.pixels_HW.size), np.uint8).reshape(image.pixels_HW.shape)
    pixels_HW = np.clip(image.pixels_HW.astype(np.float32) + noise / 64.0, 0, 255)
    return replace(image, pixels_HW=pixels_HW.astype(np.uint8))


def python_path(folder: Path) -> str:
    """What PYTHONPATH must be for a process to know these painters.

    Args:
        folder: Empty; is given what names them.
    """
    info = folder / "chaos_painters-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos-painters\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return os.pathsep.join([str(folder), str(_PROJECT)])
