"""What a user may set about calibrating a gate. Light: imports no encoder."""

from pydantic import BaseModel, ConfigDict, Field


class CalibrationRules(BaseModel):
    """How many images a gate is calibrated on, and what it shall accept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    acceptance: float = Field(
        0.97,
        gt=0.5,
        lt=1,
        description="Share of good images to accept while calibrating; a little above what is "
        "wanted of new images. Of nearest_real, shared between its two thresholds.",
    )
    max_images: int = Field(
        1000,
        ge=50,
        le=100_000,
        description="Images to read of each source, spread evenly over it; they are held in "
        "memory.",
    )
    max_side_px: int = Field(
        512,
        ge=32,
        le=4096,
        description="Larger images are shrunk to this longest side: that of the images which "
        "will be judged.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of the halves of patients and of spoiling.")
