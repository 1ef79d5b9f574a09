"""Which pairs each step of a training shows, of one source or of several.

Pairs are numbered on from source to source. A phase is a run of steps; in each of its batches a
source has the same number of pairs, its weight's share by largest remainder, so that what a batch
holds is known exactly. Each source goes through its own pairs in its own order, a new one every
epoch, as in a training on it alone; a phase begins new epochs. All of it is a function of seed and
step: a run resumed at step k, in any phase, shows what it would have shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vlp.configs import TrainingConfig
from models.vlp.phases import PhaseWeights, PlannedPhase, apportion
from models.vlp.schedule import Purpose, batch_pairs, numpy_random, pairs_per_step


@dataclass(frozen=True, slots=True)
class PairOrder:
    """The pairs of every step.

    Attributes:
        seed: Of the run.
        sizes: Pairs of each source.
        batch_size: Pairs per step.
        steps_per_epoch: Steps that show as many pairs as all sources hold together.
        num_steps: Of the whole training.
        phases: In their order.
    """

    seed: int
    sizes: tuple[int, ...]
    batch_size: int
    steps_per_epoch: int
    num_steps: int
    phases: tuple[PlannedPhase, ...]

    def batches(self, first_step: int, last_step: int) -> list[NDArray[np.int64]]:
        """Pair numbers of each step in a range.

        Args:
            first_step: First step wanted, from 1.
            last_step: Last step wanted, inclusive.
        """
        batches: list[NDArray[np.int64]] = []
        epochs_done = [0] * len(self.sizes)
        for phase in self.phases:
            first = max(first_step - phase.first_step + 1, 1)
            last = min(last_step - phase.first_step + 1, phase.num_steps)
            if first <= last:
                batches += self._of_phase(phase, first, last, epochs_done)
            for source, count in enumerate(phase.counts):
                per_epoch = self.sizes[source] // count if count else 0
                epochs_done[source] += -(-phase.num_steps // per_epoch) if count else 0
        return batches

    def _of_phase(
        self, phase: PlannedPhase, first: int, last: int, epochs_done: Sequence[int]
    ) -> Iterator[NDArray[np.int64]]:
        """Batches of some of a phase's steps, which count from 1 within it."""
        offsets = np.cumsum([0, *self.sizes])
        parts = [
            [offsets[source] + pairs for pairs in self._of_source(source, count, first, last, done)]
            for source, (count, done) in enumerate(zip(phase.counts, epochs_done, strict=True))
            if count
        ]
        if len(parts) == 1:
            yield from parts[0]
            return
        for step, batch in enumerate(zip(*parts, strict=True), start=phase.first_step + first - 1):
            mixing = numpy_random(self.seed, Purpose.MIXING, step)  # or chunks would see one source
            yield mixing.permutation(np.concatenate(batch))

    def _of_source(
        self, source: int, count: int, first: int, last: int, epochs_done: int
    ) -> list[NDArray[np.int64]]:
        return batch_pairs(self.seed, self.sizes[source], count, first, last, source, epochs_done)


def order_of_one(settings: TrainingConfig, num_pairs: int, num_ranks: int) -> PairOrder:
    """The order of a training on one source; a batch is all of it where it holds fewer pairs.

    Raises:
        ValueError: If there are too few, or the batch cannot be shared out or cut into chunks.
    """
    batch_size = pairs_per_step(settings, num_pairs, num_ranks)
    steps_per_epoch = num_pairs // batch_size
    num_steps = settings.steps or settings.epochs * steps_per_epoch
    phase = PlannedPhase(1, num_steps, (batch_size,))
    return PairOrder(settings.seed, (num_pairs,), batch_size, steps_per_epoch, num_steps, (phase,))


def order_of_mixture(
    settings: TrainingConfig,
    names: Sequence[str],
    sizes: Sequence[int],
    phases: Sequence[PhaseWeights],
    num_ranks: int,
) -> PairOrder:
    """The order of a training on several sources.

    An epoch, where `epochs` decide how long, is as many pairs as the sources hold together.

    Args:
        settings: Batch, length and seed.
        names: Of the sources, for errors.
        sizes: Pairs of each.
        phases: At least one, each with a source of positive weight.
        num_ranks: Processes that share a batch.

    Raises:
        ValueError: If a phase has no step, a source no pair in a batch of its phase, or fewer
            pairs than one batch takes; or the batch cannot be shared out or cut into chunks.
    """
    batch_size = pairs_per_step(settings, settings.batch_size, num_ranks)
    steps_per_epoch = max(1, sum(sizes) // batch_size)
    num_steps = settings.steps or settings.epochs * steps_per_epoch
    planned: list[PlannedPhase] = []
    first_step = 1
    steps_of = apportion(num_steps, [phase.share for phase in phases])
    for number, (phase, steps) in enumerate(zip(phases, steps_of, strict=True), start=1):
        if steps == 0:
            raise ValueError(
                f"every phase must have a step, phase {number} has none of {num_steps} by its "
                f"share of {phase.share:g}; raise steps or its share"
            )
        counts = apportion(batch_size, phase.weights)
        _require_pairs(names, sizes, phase.weights, counts, batch_size)
        planned.append(PlannedPhase(first_step, steps, counts))
        first_step += steps
    return PairOrder(
        settings.seed, tuple(sizes), batch_size, steps_per_epoch, num_steps, tuple(planned)
    )


def _require_pairs(
    names: Sequence[str],
    sizes: Sequence[int],
    weights: Sequence[float],
    counts: Sequence[int],
    batch_size: int,
) -> None:
    """Every source of a phase has a pair in each batch, and no pair is twice in one."""
    for name, size, weight, count in zip(names, sizes, weights, counts, strict=True):
        if weight and not count:
            raise ValueError(
                f"every source of a phase must have a pair in each batch of {batch_size}, {name} "
                f"has none by its weight of {weight:g}; raise batch_size or its weight, or "
                "leave it out"
            )
        if count > size:
            raise ValueError(
                f"a batch of {batch_size} takes {count} different pairs of {name}, which has "
                f"{size} to train on; lower batch_size or its weight"
            )
