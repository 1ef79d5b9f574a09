"""The batches of one phase: mixed of all its sources, or of one source each, in turn.

Each source goes through its own pairs in its own order, a new one every epoch, as in a training on
it alone; a phase begins new epochs. All of it is a function of seed and step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.vlp.schedule import Purpose, batch_pairs, numpy_random


@dataclass(frozen=True, slots=True)
class MixtureDraw:
    """What batches are drawn from.

    Attributes:
        seed: Of the run.
        sizes: Pairs of each source, which are numbered on from source to source.
    """

    seed: int
    sizes: tuple[int, ...]

    def of_source(
        self, source: int, count: int, first: int, last: int, epochs_done: int
    ) -> list[NDArray[np.int64]]:
        """The `first` to `last` draw, from 1, of `count` pairs of a source, by their numbers."""
        offset = sum(self.sizes[:source])
        drawn = batch_pairs(self.seed, self.sizes[source], count, first, last, source, epochs_done)
        return [offset + pairs for pairs in drawn]


class PlannedPhase(Protocol):
    """A run of steps that show the same sources."""

    @property
    def first_step(self) -> int:
        """Of the training, from 1."""
        ...

    @property
    def num_steps(self) -> int:
        """At least 1."""
        ...

    def batches(
        self, draw: MixtureDraw, first: int, last: int, epochs_done: Sequence[int]
    ) -> Iterator[NDArray[np.int64]]:
        """Batches of some of its steps, which count from 1 within it.

        Args:
            draw: What they are drawn from.
            first: First step wanted.
            last: Last step wanted, inclusive.
            epochs_done: Of each source, begun by earlier phases.
        """
        ...

    def epochs(self, sizes: Sequence[int]) -> list[int]:
        """How many epochs of each source it begins."""
        ...


@dataclass(frozen=True, slots=True)
class MixedPhase:
    """Every batch holds the same number of pairs of each source. Implements `PlannedPhase`.

    Attributes:
        first_step: From 1.
        num_steps: At least 1.
        counts: Pairs of each source in every batch.
    """

    first_step: int
    num_steps: int
    counts: tuple[int, ...]

    def batches(
        self, draw: MixtureDraw, first: int, last: int, epochs_done: Sequence[int]
    ) -> Iterator[NDArray[np.int64]]:
        """Each of all sources, which lie mixed in it."""
        parts = [
            draw.of_source(source, count, first, last, done)
            for source, (count, done) in enumerate(zip(self.counts, epochs_done, strict=True))
            if count
        ]
        if len(parts) == 1:
            yield from parts[0]
            return
        for step, batch in enumerate(zip(*parts, strict=True), start=self.first_step + first - 1):
            mixing = numpy_random(draw.seed, Purpose.MIXING, step)  # or chunks would see one source
            yield mixing.permutation(np.concatenate(batch))

    def epochs(self, sizes: Sequence[int]) -> list[int]:
        """An epoch has as many steps as its source has whole parts of a batch."""
        return [
            epochs_begun(self.num_steps, size, count) if count else 0
            for size, count in zip(sizes, self.counts, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class PhaseInTurns:
    """Every batch is of one source. Implements `PlannedPhase`.

    Attributes:
        first_step: From 1.
        batch_size: Pairs per step.
        turns: The source of each step.
    """

    first_step: int
    batch_size: int
    turns: tuple[int, ...]

    @property
    def num_steps(self) -> int:
        """A turn each."""
        return len(self.turns)

    def batches(
        self, draw: MixtureDraw, first: int, last: int, epochs_done: Sequence[int]
    ) -> Iterator[NDArray[np.int64]]:
        """Each source's own batches one after another, where its turns are."""
        before, wanted = self.turns[: first - 1], self.turns[first - 1 : last]
        own = {
            source: iter(
                draw.of_source(
                    source,
                    self.batch_size,
                    before.count(source) + 1,
                    before.count(source) + wanted.count(source),
                    epochs_done[source],
                )
            )
            for source in set(wanted)
        }
        yield from (next(own[source]) for source in wanted)

    def epochs(self, sizes: Sequence[int]) -> list[int]:
        """An epoch has as many turns as its source has whole batches."""
        turns = [self.turns.count(source) for source in range(len(sizes))]
        return [
            epochs_begun(num_turns, size, self.batch_size) if num_turns else 0
            for num_turns, size in zip(turns, sizes, strict=True)
        ]


def epochs_begun(num_batches: int, num_pairs: int, batch_size: int) -> int:
    """How many orders of its pairs a source is gone through for some batches."""
    return -(-num_batches // (num_pairs // batch_size))
