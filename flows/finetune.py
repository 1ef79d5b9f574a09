"""Train a text-to-image painter on a corpus's real images."""

from collections.abc import Mapping
from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from flows.plans import Name
from models.painters.finetuning.configs import FinetuningConfig
from tasks.finetuning import train_painter


class FinetunePlan(BaseModel):
    """A painter to train on a corpus's training patients."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="Of the run: the painter lies in models/<name>/pipeline.")
    corpus: Name = Field(description="An ingested corpus of images.")
    model: FinetuningConfig = Field(
        default_factory=FinetuningConfig, description="Networks and training."
    )


@flow(name="finetune-painter", flow_run_name="finetune {plan.name}")
def finetune_painter(plan: FinetunePlan, root: str = "./factory") -> dict[str, Any]:
    """Train the plan's painter; run again, a finished run is found done and a cut-off one goes on.

    Args:
        plan: Corpus, networks and training.
        root: Folder or s3://bucket/prefix that holds the corpus.
    """
    return train_painter(root, plan.name, plan.corpus, plan.model)


def painter_text(metrics: Mapping[str, Any]) -> str:
    """A finished training in one line."""
    training = metrics["training"]
    return (
        f"painter {training['pipeline_folder']} from {training['num_images']} images of "
        f"{training['num_patients']} patients: {training['num_steps']} steps, "
        f"loss {training['loss']:.3f}, {training['seconds']:.0f} s"
    )
