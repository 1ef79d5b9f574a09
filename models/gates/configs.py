"""What a plan says of an image gate. Light: the engines are imported by `open()`.

Calibration: "real" below are the 975 frontal radiographs of NIH ChestX-ray14 that the tests use,
256 px; all pass at the defaults.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.encoders.seam import EncoderConfig, handcrafted_encoder
from models.engines import EngineConfig
from models.vocabulary.revisions import files_hash, joined_hash

if TYPE_CHECKING:
    from models.gates.similarity import SimilarityGate
    from models.gates.technical import TechnicalGate

TECHNICAL_REVISION = "technical-1"  # raised whenever a verdict can change at equal thresholds


class TechnicalConfig(EngineConfig):
    """Rejects what is no usable image at all: broken numbers, flat, burnt out, half empty."""

    kind: Literal["technical"] = "technical"
    size_px: int | None = Field(
        default=None,
        ge=8,
        le=8192,
        description="Side the square image must have, pixels; empty accepts any size.",
    )
    min_contrast: float = Field(
        default=12.0,
        ge=0.0,
        le=255.0,
        description="Least standard deviation of the grey levels 0..255; below it the image counts "
        "as constant. Real: 27.5 to 82.3.",
    )
    max_saturated_fraction: float = Field(
        default=0.6,
        gt=0.0,
        le=1.0,
        description="Largest share of pixels at or beyond either end of the grey scale. "
        "Real: at most 0.43 (wide black collimation).",
    )
    max_border_fraction: float = Field(
        default=0.46,
        gt=0.0,
        le=1.0,
        description="Largest share of the image outside the box of rows and columns that show "
        "anything: black or white frames, half-empty images. Real: at most 0.43.",
    )

    def revision(self) -> str:
        """The version of the checks; the thresholds are part of the plan."""
        return TECHNICAL_REVISION

    def open(self) -> "TechnicalGate":
        """A gate of plain arithmetic."""
        from models.gates.technical import TechnicalGate

        return TechnicalGate(self)


class SimilarityConfig(EngineConfig):
    """Rejects what is more like a bank of bad images than of good ones, by a calibrated score."""

    kind: Literal["similarity"] = "similarity"
    bank: str = Field(
        min_length=1, description="File of image banks that `cxr-factory calibrate` made."
    )
    encoder: EncoderConfig = Field(
        default_factory=handcrafted_encoder,
        description="What embeds the images; the bank must be of the same.",
    )

    def revision(self) -> str:
        """Hash of the banks with their calibration, of the encoder and of the rules.

        Raises:
            EngineUnavailable: If the bank is missing or of another encoder, or the encoder's
                weights are missing.
            DamagedObject: If the file is no bank.
        """
        from models.gates.bank import require_bank

        path, encoder = Path(self.bank), self.encoder.revision()
        require_bank(path, self.encoder.kind, encoder)
        rules = files_hash("models.gates", "bank.py", "embedding.py", "similarity.py")
        return joined_hash(rules, encoder, hashlib.sha256(path.read_bytes()).hexdigest())

    def open(self) -> "SimilarityGate":
        """Read the banks and load the encoder."""
        from models.gates.similarity import SimilarityGate

        return SimilarityGate(self)
