"""Export a release for other software."""

from typing import Any

import yaml
from prefect import flow
from pydantic import Field

from flows.plans import Name, Plan
from storage.export_formats import ExportFormat
from storage.exports import Exported
from storage.review_rules import ReviewRules
from tasks.exporting import write_export


class ExportPlan(Plan):
    """Which pairs of a dataset are exported, how and whereto."""

    dataset: Name = Field(description="A dataset with a release.")
    target: str = Field(min_length=1, description="A new folder, where the flow runs.")
    format: ExportFormat = Field(ExportFormat.PARQUET, description="How the pairs lie there.")
    release: int | None = Field(
        None, ge=1, description="Release to read; None: the slice's, or else the newest."
    )
    slice: Name | None = Field(None, description="A saved slice of the release; None: all of it.")
    reviews: ReviewRules = Field(
        default_factory=ReviewRules,
        description="What people's decisions leave out, as far as the release names them.",
    )


@flow(name="export-dataset", flow_run_name="export {plan.dataset}")
def export_dataset(plan: ExportPlan, root: str = "./factory") -> Exported:
    """Write pairs of a release into a new folder, whole or not at all.

    Args:
        plan: Which pairs, how and whereto.
        root: Folder or s3://bucket/prefix that holds the dataset.
    """
    return write_export(
        root, plan.dataset, plan.release, plan.slice, plan.reviews, plan.format, plan.target
    )


def parse_reviews(settings: str) -> Any:
    """A rule as a person types it: what to take, or its fields as a plan's `reviews` has them.

    Raises:
        ValueError: If it is not YAML; what it says is checked with the plan.
    """
    try:
        read = yaml.safe_load(settings)
    except yaml.YAMLError as error:
        raise ValueError(f"--reviews: not YAML: {' '.join(str(error).split())}") from error
    return {"take": read} if isinstance(read, str) else read


def export_text(exported: Exported, target: str) -> str:
    """What was exported, in a line or two."""
    pairs = ", ".join(f"{count} {split}" for split, count in exported.num_pairs.items())
    marked = "\nrestricted: the terms of its credentialed source go with it"
    return f"{target}: {pairs} pairs of {exported.release}" + (marked * exported.restricted)
