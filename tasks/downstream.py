"""The evaluate stage's further tasks: a trained run and images in, metrics out."""

from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.downstream.grounding import GroundingConfig, evaluate_grounding
from models.downstream.heldout import masked_phantoms
from models.downstream.masked_images import MaskedImages
from models.engines import EngineConfig
from models.vocabulary.concepts import load_vocabulary
from tasks.evaluation import measured, painting, trained_model


@task(name="require-regions", cache_policy=NO_CACHE, persist_result=False)
def require_regions(root: str, run: str) -> None:
    """Refuse a run that cannot say where, before anything is painted for it.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If its objective compares no regions.
    """
    trained_model(root, run).similarity_map(np.zeros((8, 8), np.uint8), "chest")


@task(name="paint-masked-set", cache_policy=NO_CACHE, persist_result=False)
def paint_masked_set(name: str, painter: EngineConfig, num_images: int, seed: int) -> MaskedImages:
    """Held-out images and the masks of their findings.

    Raises:
        ValueError: If the painter knows no masks.
    """
    with painting(painter) as queue:
        return masked_phantoms(queue, num_images, seed, load_vocabulary(), name)


@task(name="evaluate-grounding", cache_policy=NO_CACHE, persist_result=False)
def measure_grounding(
    root: str, run: str, validation: MaskedImages, test: MaskedImages, config: GroundingConfig
) -> dict[str, Any]:
    """Zero-shot grounding of a run, written to the run's `metrics.json`.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If its objective compares no regions.
    """
    return measured(
        root,
        run,
        "grounding",
        test.name,
        lambda model: evaluate_grounding(model, validation, test, config).as_dict(),
    )
