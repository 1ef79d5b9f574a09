"""What a plan says of an image gate. Light: the engines are imported by `open()`.

Calibration: "real" below are the 975 frontal radiographs of NIH ChestX-ray14 that the tests use,
256 px; all pass at the defaults.
"""

import hashlib
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from models.encoders.seam import EncoderConfig, handcrafted_encoder
from models.encoders.two_towers import require_two_towers
from models.engines import EngineConfig
from models.places import local_path
from models.vocabulary.revisions import files_hash, joined_hash

if TYPE_CHECKING:
    from models.gates.agreement import AgreementGate
    from models.gates.nearest_real import NearestRealGate
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

        path, encoder = local_path(self.bank), self.encoder.revision()
        require_bank(path, self.encoder.kind, encoder)
        rules = files_hash("models.gates", "bank.py", "embedding.py", "similarity.py")
        return joined_hash(rules, encoder, hashlib.sha256(path.read_bytes()).hexdigest())

    def restricted(self) -> bool:
        """Whether images of a bank are credentialed, or what the encoder was trained on."""
        from models.gates.bank import bank_origin

        return bank_origin(local_path(self.bank)).restricted or self.encoder.restricted()

    def open(self) -> "SimilarityGate":
        """Read the banks and load the encoder."""
        from models.gates.similarity import SimilarityGate

        return SimilarityGate(self)


class AgreementConfig(EngineConfig):
    """Rejects an image that does not show what its prompt says, by the cosine of two towers."""

    kind: Literal["agreement"] = "agreement"
    encoder: EncoderConfig = Field(
        description="Image and text towers in one space: kind open_clip or factory."
    )
    min_cosine: float = Field(
        ge=-1.0,
        le=1.0,
        description="Least cosine of image and prompt. It differs from encoder to encoder: "
        "`cxr-factory calibrate` finds it on real pairs.",
    )

    @model_validator(mode="after")
    def _has_two_towers(self) -> "AgreementConfig":
        require_two_towers(self.encoder)
        return self

    def revision(self) -> str:
        """Hash of the encoder and of the rules.

        Raises:
            EngineUnavailable: If the encoder's weights are missing.
        """
        rules = files_hash("models.gates", "agreement.py", "embedding.py")
        return joined_hash(rules, self.encoder.revision())

    def restricted(self) -> bool:
        """Whether what the encoder was trained on is credentialed."""
        return self.encoder.restricted()

    def open(self) -> "AgreementGate":
        """Load both towers."""
        from models.gates.agreement import AgreementGate

        return AgreementGate(self)


class NearestRealConfig(EngineConfig):
    """Rejects what is all but a copy of a real training image, and what is like none of them."""

    kind: Literal["nearest_real"] = "nearest_real"
    index: str = Field(
        min_length=1,
        description="Table of the training images' embeddings that `cxr-factory calibrate` made "
        "beside the corpus.",
    )
    encoder: EncoderConfig = Field(
        default_factory=handcrafted_encoder,
        description="What embeds the images; the table must be of the same.",
    )
    min_distance: float = Field(
        ge=0.0,
        le=2.0,
        description="An image nearer than this to a training image counts as memorised; "
        "1 - cosine of standardised embeddings.",
    )
    max_distance: float = Field(
        ge=0.0,
        le=2.0,
        description="An image farther than this from every training image counts as unlike real.",
    )

    @model_validator(mode="after")
    def _is_an_interval(self) -> "NearestRealConfig":
        if self.min_distance >= self.max_distance:
            raise ValueError(
                f"min_distance must be less than max_distance, got {self.min_distance} and "
                f"{self.max_distance}; exchange them"
            )
        return self

    def revision(self) -> str:
        """Hash of the table, of the encoder and of the rules.

        Raises:
            EngineUnavailable: If the table is missing or of another encoder, or the encoder's
                weights are missing.
            DamagedObject: If it is no such table.
        """
        from models.gates.real_images import require_real_images

        encoder = self.encoder.revision()
        content = require_real_images(self.index, self.encoder.kind, encoder)
        rules = files_hash("models.gates", "embedding.py", "nearest_real.py", "real_images.py")
        return joined_hash(rules, encoder, content)

    def restricted(self) -> bool:
        """Whether the training images are credentialed, or what the encoder was trained on."""
        from models.gates.real_images import real_images_origin

        return real_images_origin(self.index).restricted or self.encoder.restricted()

    def open(self) -> "NearestRealGate":
        """Open the table and load the encoder."""
        from models.gates.nearest_real import NearestRealGate

        return NearestRealGate(self)
