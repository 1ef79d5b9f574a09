"""Image-text retrieval: is the text of an image among the nearest, and the image of a text?

A hit is any pair with the same text, since nothing tells equal texts apart. Candidates of equal
similarity stand in random order: what is reported is the expectation over that order.

Shape suffixes: N pairs, D embedding, Q queries, C candidates, K depths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.downstream.metrics import (
    Figure,
    drawn_figure,
    metric_name,
    resample_weights,
    resampled_means,
)
from models.downstream.zero_shot import ImageTextEncoder

DEPTHS = (1, 5, 10)
QUERIES_AT_ONCE = 256  # bounds the memory for similarities, 10 MB at 10,000 candidates


class Direction(StrEnum):
    """What is asked with, and what is looked for."""

    IMAGE_TO_TEXT = "image_to_text"
    TEXT_TO_IMAGE = "text_to_image"


class RetrievalConfig(BaseModel):
    """How sure the answer is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_resamples: int = Field(
        1000, ge=100, le=100_000, description="Bootstrap resamples of patients"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of the resamples")

    def judgeable(self) -> list[str]:
        """Names of the figures that a study may judge: all."""
        return [_recall_name(direction, depth) for direction in Direction for depth in DEPTHS]


@dataclass(frozen=True)
class ImageTexts:
    """A named set of pairs.

    Attributes:
        name: What results call it.
        images: Grey images, each uint8 (height, width), of any sizes.
        texts: Of each image.
        groups: Patient of each pair; the bootstrap draws patients.
    """

    name: str
    images: Sequence[NDArray[np.uint8]]
    texts: tuple[str, ...]
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.texts) == len(self.groups):
            raise ValueError(
                f"{self.name!r} must have a text and a group for each of {len(self.images)} "
                f"images, got {len(self.texts)} and {len(self.groups)}"
            )


@dataclass(frozen=True, slots=True)
class Recall:
    """Share of queries with a hit among the nearest `depth`.

    Attributes:
        depth: 1, 5 or 10.
        figure: The share, 0..1; the interval is for these candidates, over patients of queries.
        chance: What candidates in random order would give.
    """

    depth: int
    figure: Figure
    chance: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.figure.as_dict(), "chance": self.chance}


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """Retrieval both ways within one set.

    Attributes:
        num_pairs: Queries, and candidates, each way. Recall falls as it grows.
        num_texts: Different texts among them.
        num_patients: Groups of the bootstrap.
        recalls: Of each direction by depth.
        config: How it was measured.
    """

    num_pairs: int
    num_texts: int
    num_patients: int
    recalls: Mapping[Direction, tuple[Recall, ...]]
    config: RetrievalConfig

    def figures(self) -> dict[str, Figure]:
        """What a study compares, by its name there."""
        return {
            _recall_name(direction, one.depth): one.figure
            for direction, recalls in self.recalls.items()
            for one in recalls
        }

    def as_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return {
            "num_pairs": self.num_pairs,
            "num_texts": self.num_texts,
            "num_patients": self.num_patients,
            "settings": self.config.model_dump(mode="json"),
            **{
                direction.value: {f"recall@{one.depth}": one.as_dict() for one in recalls}
                for direction, recalls in self.recalls.items()
            },
        }


def _recall_name(direction: Direction, depth: int) -> str:
    return metric_name(direction, f"recall@{depth}")


def evaluate_retrieval(
    model: ImageTextEncoder, pairs: ImageTexts, config: RetrievalConfig
) -> RetrievalResult:
    """Recall at 1, 5 and 10 both ways, with bootstrap intervals over patients.

    Args:
        model: Both towers.
        pairs: Every image is a candidate for every text, and the other way round.
        config: Resamples.

    Raises:
        ValueError: If there are fewer than two different texts.
    """
    texts, text_of_N = np.unique(np.asarray(pairs.texts, dtype=object), return_inverse=True)
    if len(texts) < 2:
        raise ValueError(
            f"{pairs.name!r} must hold two different texts or more to tell apart, got "
            f"{len(texts)} in {len(pairs.texts)} pairs; take more pairs"
        )
    images_ND = model.encode_images(pairs.images).astype(np.float64)
    # each text once: equal texts in different batches would differ in the last bits
    texts_ND = model.encode_texts([str(text) for text in texts]).astype(np.float64)[text_of_N]
    weights_RN = resample_weights(pairs.groups, config.num_resamples, config.seed)
    return RetrievalResult(
        num_pairs=len(pairs.texts),
        num_texts=len(texts),
        num_patients=len(set(pairs.groups)),
        recalls={
            Direction.IMAGE_TO_TEXT: _recalls(images_ND, texts_ND, text_of_N, weights_RN),
            Direction.TEXT_TO_IMAGE: _recalls(texts_ND, images_ND, text_of_N, weights_RN),
        },
        config=config,
    )


def hit_probabilities(
    similarity_QC: NDArray[np.floating], relevant_QC: NDArray[np.bool_], depths: Sequence[int]
) -> NDArray[np.float64]:
    """Probability of a relevant candidate among the nearest, ties in random order, (Q, K).

    Args:
        similarity_QC: Higher is nearer.
        relevant_QC: True for hits, at least one a query.
        depths: How many nearest count.
    """
    best_Q1 = np.where(relevant_QC, similarity_QC, -np.inf).max(axis=1, keepdims=True)
    above_Q = (similarity_QC > best_Q1).sum(axis=1)
    tied_QC = similarity_QC == best_Q1
    tied_Q, hits_Q = tied_QC.sum(axis=1), (tied_QC & relevant_QC).sum(axis=1)
    columns = [1 - _miss_probability(above_Q, tied_Q, hits_Q, depth) for depth in depths]
    return np.stack(columns, axis=1)


def _miss_probability(
    above_Q: NDArray[np.integer],
    tied_Q: NDArray[np.integer],
    hits_Q: NDArray[np.integer],
    depth: int,
) -> NDArray[np.float64]:
    """That no hit is drawn: `above` places are taken, the rest are drawn from the tied."""
    miss_Q = np.ones(len(above_Q))
    for place in range(depth):
        drawn_Q = place - above_Q
        misses_Q = np.maximum(tied_Q - hits_Q - drawn_Q, 0) / np.maximum(tied_Q - drawn_Q, 1)
        miss_Q = np.where(drawn_Q >= 0, miss_Q * misses_Q, miss_Q)
    return miss_Q


def _recalls(
    queries_ND: NDArray[np.float64],
    candidates_ND: NDArray[np.float64],
    text_of_N: NDArray[np.integer],
    weights_RN: NDArray[np.float32],
) -> tuple[Recall, ...]:
    blocks = []
    for start in range(0, len(queries_ND), QUERIES_AT_ONCE):
        block = slice(start, start + QUERIES_AT_ONCE)
        relevant_QC = text_of_N[block, None] == text_of_N
        similarity_QC = queries_ND[block] @ candidates_ND.T
        blocks.append(hit_probabilities(similarity_QC, relevant_QC, DEPTHS))
    hits_NK = np.concatenate(blocks)
    same_text_N = np.bincount(text_of_N)[text_of_N]
    none_N, all_N = np.zeros_like(same_text_N), np.full_like(same_text_N, len(text_of_N))
    resampled_RK = resampled_means(hits_NK, weights_RN)
    return tuple(
        Recall(
            depth,
            drawn_figure(float(hits_NK[:, k].mean()), resampled_RK[:, k]),
            chance=float(1 - _miss_probability(none_N, all_N, same_text_N, depth).mean()),
        )
        for k, depth in enumerate(DEPTHS)
    )
