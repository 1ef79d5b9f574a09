"""Studies with a known truth: scores whose AUROC the test chooses."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.studies.results import Cell, FailedCell, LossCurve, MeasuredFigure, ScoredSet
from models.studies.results import StudyResults as Results

FINDINGS = ("edema", "effusion", "fracture", "mass", "nodule")
TASK = "zero_shot/nih"


def scored_sets(
    strengths: Mapping[Cell, float],
    *,
    num_images: int = 160,
    findings: Sequence[str] = FINDINGS,
    task: str = TASK,
    own_noise: float = 0.8,
    views: bool = True,
    seed: int = 0,
) -> list[ScoredSet]:
    """A set a cell on the same images, two of a patient; positives score higher by `strength`.

    Args:
        strengths: Of each cell.
        num_images: N.
        findings: The first is the most common, in some 40 % of images.
        task: Name.
        own_noise: Of a cell; the rest of the noise is the images', the same for all cells.
        views: Whether projections are known.
        seed: Of all of it.
    """
    random = np.random.default_rng(seed)
    shape = (num_images, len(findings))
    rates = np.geomspace(0.4, 0.15, len(findings))
    labels = (random.random(shape) < rates).astype(np.int8)
    images = random.normal(size=shape) * np.sqrt(1 - own_noise**2)
    return [
        ScoredSet(
            cell=cell,
            task=task,
            findings=tuple(findings),
            labels_NF=labels,
            scores_NF=strength * labels + images + own_noise * random.normal(size=shape),
            patients=tuple(f"p{image // 2}" for image in range(num_images)),
            views=tuple("PA" if image // 2 % 3 else "AP" for image in range(num_images))
            if views
            else (),
        )
        for cell, strength in strengths.items()
    ]


def cells(
    strengths: Mapping[str, float], seeds: Sequence[int], algorithm: str = "convirt"
) -> dict[Cell, float]:
    """Every arm's strength, for each seed."""
    return {
        Cell(arm, algorithm, seed): strength
        for arm, strength in strengths.items()
        for seed in seeds
    }


def study(strengths: Mapping[str, float], seeds: Sequence[int] = (0, 1, 2)) -> Results:
    """One algorithm and task, its curves and counts; the first arm is the reference."""
    of = cells(strengths, seeds)
    steps = tuple(range(10, 410, 10))
    return Results(
        name="small",
        arms=tuple(strengths),
        algorithms=("convirt",),
        seeds=tuple(seeds),
        scored=tuple(scored_sets(of)),
        figures=tuple(MeasuredFigure(cell, "retrieval/test", "recall@5", 0.3) for cell in of),
        curves=tuple(LossCurve(cell, steps, tuple(3 / step for step in steps)) for cell in of),
        held_equal={"optimiser steps": "400"},
        how_made=dict.fromkeys(strengths, "200 pairs"),
        training_counts={
            arm: {name: 100 * k for k, name in enumerate(FINDINGS)} for arm in strengths
        },
        cannot_show=("Labels were mined from reports.",),
    )


def all_failed(arms: Sequence[str] = ("real", "synthetic")) -> Results:
    """A study of which nothing came."""
    failed = tuple(FailedCell(Cell(arm, "convirt", 0), "loss is nan at step 3") for arm in arms)
    return Results("small", tuple(arms), ("convirt",), (0,), failed=failed)
