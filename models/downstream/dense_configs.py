"""What a user may set about segmentation and detection. Light: imports no torch."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field, field_validator

from models.downstream.dense_measures import DETECTION_JUDGED, SEGMENTATION_JUDGED
from models.downstream.few_labels import TrainedConfig
from models.downstream.metrics import metric_name, share_name
from models.vocabulary.findings import Finding


class EncoderUse(StrEnum):
    """What training does to the image tower."""

    FROZEN = "frozen"
    FINE_TUNED = "fine_tuned"


class DenseConfig(TrainedConfig):
    """Training of a head on the maps inside the image tower."""

    findings: tuple[Finding, ...] = Field(
        min_length=1, description="To be found, by the labels of ChestX-ray14"
    )
    encoder: EncoderUse = Field(
        EncoderUse.FROZEN,
        description="frozen (as MGCA) or fine_tuned: whether the image tower is trained along",
    )
    patience: int = Field(
        10, ge=1, le=10_000, description="Looks without a better one than the best before it ends"
    )

    @field_validator("findings")
    @classmethod
    def _findings_differ(cls, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        twice = sorted({one.value for one in findings if findings.count(one) > 1})
        if twice:
            raise ValueError(f"findings must differ, got {twice[0]!r} twice; name each once")
        return findings


class SegmentationConfig(DenseConfig):
    """A U-Net on the image tower; a look is at the loss on validation images, as MGCA's."""

    decoder_width: int = Field(
        16,
        ge=8,
        le=256,
        multiple_of=8,
        description="Channels of the decoder at the image's own size, doubled at each coarser one",
    )

    def judgeable(self) -> list[str]:
        """Names of the figures that a study may judge."""
        return _at_each(self.shares, SEGMENTATION_JUDGED)


class DetectionConfig(DenseConfig):
    """FCOS on a pyramid of the image tower's maps; a look is at the mAP of validation images."""

    pyramid_width: int = Field(
        64, ge=32, le=512, multiple_of=32, description="Channels of the pyramid and of the heads"
    )

    def judgeable(self) -> list[str]:
        """Names of the figures that a study may judge."""
        return _at_each(self.shares, DETECTION_JUDGED)


def _at_each(shares: Sequence[float], measures: Sequence[str]) -> list[str]:
    return [metric_name(share_name(share), measure) for share in shares for measure in measures]
