"""Pairs of several tables as one set: numbered on from source to source, read where each lies.

Shape suffixes: B batch, S image side.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.vlp.configs import TrainingConfig
from models.vlp.data import (
    BlobImages,
    PairImages,
    PairSource,
    PairTexts,
    ReadableImages,
    held_or_on_demand,
    read_texts,
)
from models.vlp.pair_order import PairOrder, order_of_mixture, order_of_one
from models.vlp.phases import PhaseWeights
from storage.records import Split


@dataclass(frozen=True, slots=True)
class TrainingPairs:
    """The pairs of one split: entry k of each belongs to source k."""

    sources: tuple[PairSource, ...]
    texts_of: tuple[PairTexts, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pairs of each source."""
        return tuple(map(len, self.texts_of))

    @property
    def texts(self) -> PairTexts:
        """All reports in the order of the numbers; `rows` are each source's own."""
        return PairTexts(
            np.concatenate([texts.rows for texts in self.texts_of]),
            tuple(one for texts in self.texts_of for one in texts.sample_ids),
            tuple(one for texts in self.texts_of for one in texts.findings),
            tuple(one for texts in self.texts_of for one in texts.impressions),
        )

    def images(self, size_px: int, num_workers: int, memory_limit_mib: int) -> PairImages:
        """All images: in memory if they fit the limit at training size, else on demand."""
        parts = tuple(
            BlobImages(source, texts, size_px)
            for source, texts in zip(self.sources, self.texts_of, strict=True)
        )
        read: ReadableImages = parts[0] if len(parts) == 1 else JoinedImages(parts)
        return held_or_on_demand(read, size_px, num_workers, memory_limit_mib)


class TrainingData(Protocol):
    """What a run trains on. Must pickle: each process of a run reads it."""

    def pairs(self, split: Split) -> TrainingPairs:
        """The pairs to train on, or those to validate on.

        Raises:
            ValueError: If there are none, or the table is no table of pairs.
            StoreUnavailable: If there is no such table.
        """
        ...

    def order(self, settings: TrainingConfig, sizes: Sequence[int], num_ranks: int) -> PairOrder:
        """Which of the pairs to train on each step shows.

        Args:
            settings: Batch, length and seed.
            sizes: Of those pairs, by source.
            num_ranks: Processes that share a batch.

        Raises:
            ValueError: If batches cannot be made of them; says why.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReleaseData:
    """One table of pairs, or those of some samples of it."""

    source: PairSource
    among: Collection[str] | None = None

    def pairs(self, split: Split) -> TrainingPairs:
        """Read when asked for: a finished run reads none."""
        return TrainingPairs((self.source,), (read_texts(self.source, split, self.among),))

    def order(self, settings: TrainingConfig, sizes: Sequence[int], num_ranks: int) -> PairOrder:
        """All of them once an epoch."""
        return order_of_one(settings, sum(sizes), num_ranks)


@dataclass(frozen=True, slots=True)
class MixedSource:
    """One source of a mixture, its reports read.

    Attributes:
        name: For errors and logs ("demo@1", "nih").
        pairs: Where its images lie.
        train: To train on.
        validation: To stop early by; may be none.
    """

    name: str
    pairs: PairSource
    train: PairTexts
    validation: PairTexts


@dataclass(frozen=True, slots=True)
class TrainingMixture:
    """Sources, and how much of each a phase shows."""

    sources: tuple[MixedSource, ...]
    phases: tuple[PhaseWeights, ...]

    def pairs(self, split: Split) -> TrainingPairs:
        """The pairs to train on, or those to validate on; no others are there."""
        assert split is not Split.TEST, "no test pair takes part in a training"
        texts = [one.train if split is Split.TRAIN else one.validation for one in self.sources]
        return TrainingPairs(tuple(one.pairs for one in self.sources), tuple(texts))

    def order(self, settings: TrainingConfig, sizes: Sequence[int], num_ranks: int) -> PairOrder:
        """Phase after phase, each source with its share of every batch."""
        names = [one.name for one in self.sources]
        return order_of_mixture(settings, names, sizes, self.phases, num_ranks)


class JoinedImages(ReadableImages):
    """Pair number to image, through several tables."""

    def __init__(self, parts: Sequence[BlobImages]) -> None:
        self.parts = tuple(parts)
        self.ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitems__(self, pairs: Sequence[int]) -> Tensor:
        """Images of some pairs, uint8 (B, 1, S, S), in the order asked; each table is read once."""
        wanted = np.asarray(pairs, np.int64)
        of_part = np.searchsorted(self.ends, wanted, side="right")
        size_px = self.parts[0].size_px
        images_B1SS = torch.empty(len(wanted), 1, size_px, size_px, dtype=torch.uint8)
        for number in np.unique(of_part).tolist():
            places = np.flatnonzero(of_part == number)
            part = self.parts[number]
            within = wanted[places] - (self.ends[number] - len(part))
            images_B1SS[torch.from_numpy(places)] = part.__getitems__(within.tolist())
        return images_B1SS
