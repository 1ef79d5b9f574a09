"""Calibrate an image gate on real images before a plan names it."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field, model_validator

from flows.plans import Name, Plan
from models.encoders.seam import EncoderConfig, handcrafted_encoder
from models.encoders.two_towers import require_two_towers
from models.gates.calibration_rules import CalibrationRules
from tasks.calibration import calibrate_agreement, calibrate_similarity
from tasks.image_sources import BadImageSource, ImageSource, SpoiledImages
from tasks.real_images import calibrate_nearest_real, embed_training_images


class SimilarityExamples(Plan):
    """For the similarity gate: good images and bad ones."""

    kind: Literal["similarity"] = "similarity"
    good: ImageSource = Field(description="Images as they should be.")
    bad: BadImageSource = Field(
        default_factory=SpoiledImages, description="Images as they should not be."
    )


class AgreementPairs(Plan):
    """For the agreement gate: a corpus whose images have reports."""

    kind: Literal["agreement"] = "agreement"
    corpus: Name = Field(description="An ingested corpus of images with reports.")


class NearestRealImages(Plan):
    """For the nearest_real gate: the corpus whose training images are compared with."""

    kind: Literal["nearest_real"] = "nearest_real"
    corpus: Name = Field(description="An ingested corpus of images.")


class CalibratePlan(Plan):
    """A gate to calibrate: on which images, seen by which encoder."""

    name: Name = Field(description="Of the run: what it finds lies in models/<name>.")
    gate: Annotated[
        SimilarityExamples | AgreementPairs | NearestRealImages, Field(discriminator="kind")
    ] = Field(description="Which gate, on which images.")
    encoder: EncoderConfig = Field(
        default_factory=handcrafted_encoder, description="What embeds the images."
    )
    rules: CalibrationRules = Field(
        default_factory=CalibrationRules, description="On how many images, and what to accept."
    )

    @model_validator(mode="after")
    def _encoder_suits_the_gate(self) -> "CalibratePlan":
        if isinstance(self.gate, AgreementPairs):
            require_two_towers(self.encoder)
        return self


@flow(name="calibrate-gate", flow_run_name="calibrate {plan.name}")
def calibrate_gate(plan: CalibratePlan, root: str = "./factory") -> dict[str, Any]:
    """Choose a gate's thresholds on real images, and measure them on other patients.

    Args:
        plan: Gate, images, encoder, and what to accept.
        root: Folder or s3://bucket/prefix.
    """
    match plan.gate:
        case SimilarityExamples(good=good, bad=bad):
            return calibrate_similarity(root, plan.name, good, bad, plan.encoder, plan.rules)
        case AgreementPairs(corpus=corpus):
            return calibrate_agreement(root, plan.name, corpus, plan.encoder, plan.rules)
        case NearestRealImages(corpus=corpus):
            index = embed_training_images(root, corpus, plan.encoder)
            return calibrate_nearest_real(root, plan.name, corpus, index, plan.encoder, plan.rules)


def calibration_text(metrics: Mapping[str, Any]) -> str:
    """What a calibrated gate does to images of other patients, and how a plan names it."""
    figures = dict(metrics["held_out"])
    by_kind: Mapping[str, float] = figures.pop("recall_by_kind", {})
    return "\n".join(
        [
            f"{metrics['gate']['kind']} gate {metrics['run']}, on images of other patients:",
            *(
                f"  {name.replace('_', ' '):<20} {_figure(value)}"
                for name, value in figures.items()
            ),
            *(f"  recall, {fault:<12} {recall:.3f}" for fault, recall in by_kind.items()),
            f"for a plan's image_rules.gates: {json.dumps(metrics['gate'])}",
        ]
    )


def _figure(value: float | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
