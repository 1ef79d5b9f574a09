"""Technical checks on a painted image: size, finite values, contrast, saturation, border."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engines import EngineInfo, PaintedImage, PaintRequest
from models.gates.configs import TechnicalConfig
from storage.records import GateScore, RejectionReason, Verdict

GATE = "technical"
FLAT_STD = 2.0  # grey levels; a row or column that varies less shows nothing (compression noise)

Check = tuple[RejectionReason, GateScore]


class TechnicalGate:
    """An ImageGate of plain arithmetic; the first check that fails names the reason."""

    def __init__(self, config: TechnicalConfig) -> None:
        self.config = config
        self.info = EngineInfo(config.kind, config.revision(), deterministic=True)

    def check(
        self, requests: Sequence[PaintRequest], images: Sequence[PaintedImage]
    ) -> list[Verdict]:
        """The verdicts with every value and threshold.

        An image of wrong shape or with values that are not finite is measured no further.
        """
        del requests  # what was asked for does not matter to whether it is an image
        return [self._verdict(image.pixels_HW) for image in images]

    def _verdict(self, pixels_HW: NDArray[Any]) -> Verdict:
        found = self._shape(pixels_HW)
        if all(score.passed for _, score in found):
            found += self._content(pixels_HW.astype(np.float32))
        failed = next((reason for reason, score in found if not score.passed), None)
        return Verdict(failed, tuple(score for _, score in found))

    def _shape(self, pixels_HW: NDArray[Any]) -> list[Check]:
        """Sides (threshold 0: any) and the share of values that are not finite."""
        wanted = self.config.size_px or 0
        sides = pixels_HW.shape if pixels_HW.ndim == 2 else (0, 0)
        broken = 1.0 - float(np.isfinite(pixels_HW).mean()) if pixels_HW.size else 1.0
        sizes: list[Check] = [
            _judge(
                RejectionReason.WRONG_SIZE,
                name,
                side,
                wanted,
                side > 0 and side == (wanted or side),
            )
            for name, side in zip(("height_px", "width_px"), sides, strict=True)
        ]
        finite = _judge(RejectionReason.NOT_FINITE, "not_finite_fraction", broken, 0, broken == 0)
        return [*sizes, finite]

    def _content(self, pixels_HW: NDArray[np.float32]) -> list[Check]:
        least, most = self.config.min_contrast, self.config.max_saturated_fraction
        contrast = float(pixels_HW.std())
        saturated = float(((pixels_HW <= 0) | (pixels_HW >= 255)).mean())
        border, widest = border_fraction(pixels_HW), self.config.max_border_fraction
        return [
            _judge(RejectionReason.CONSTANT, "contrast", contrast, least, contrast >= least),
            _judge(
                RejectionReason.SATURATED, "saturated_fraction", saturated, most, saturated <= most
            ),
            _judge(RejectionReason.BORDER, "border_fraction", border, widest, border <= widest),
        ]


def _judge(
    reason: RejectionReason, measure: str, value: float, threshold: float, passed: bool
) -> Check:
    return reason, GateScore(GATE, measure, float(value), float(threshold), passed)


def border_fraction(pixels_HW: NDArray[np.float32]) -> float:
    """Share of the image outside the box of its rows and columns that are not flat, 0..1."""
    rows = np.flatnonzero(pixels_HW.std(axis=1) > FLAT_STD)
    columns = np.flatnonzero(pixels_HW.std(axis=0) > FLAT_STD)
    if not len(rows) or not len(columns):
        return 1.0
    shown = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return 1.0 - float(shown) / pixels_HW.size
