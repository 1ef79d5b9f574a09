"""What a user fills in to measure a model beyond zero-shot classification."""

from typing import Annotated, Literal

from pydantic import Field

from flows.plans import Name, PainterConfig, Plan
from models.downstream.grounding import GroundingConfig
from models.engines import engine_config


class GroundingTask(Plan):
    """Where findings are, on images painted for evaluation alone."""

    kind: Literal["grounding"] = "grounding"
    name: Name = Field("phantoms", description="Of the result, in the metrics.")
    num_images: int = Field(400, ge=20, le=100_000, description="Images to measure on.")
    num_validation_images: int = Field(
        400, ge=20, le=100_000, description="Others, to choose thresholds on."
    )
    seed: int = Field(
        0, ge=0, lt=2**62, description="Of the requests; the validation images take the next."
    )
    painter: PainterConfig = Field(
        default_factory=lambda: engine_config("painters", {"kind": "phantom"}),
        validate_default=True,
        description="Must know the masks of what it paints.",
    )
    settings: GroundingConfig = Field(
        default_factory=GroundingConfig, description="How the model is asked."
    )


DownstreamTask = Annotated[GroundingTask, Field(discriminator="kind")]
