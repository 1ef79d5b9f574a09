"""Which pairs each step of a training shows, of one source or of several.

Pairs are numbered on from source to source. A phase is a run of steps. Its batches mix the sources:
in each, a source has the same number of pairs, its weight's share by largest remainder, so that
what a batch holds is known exactly. Or each batch is of one source, and it is the batches that a
source has its share of. All of it is a function of seed and step: a run resumed at step k, in any
phase, shows what it would have shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vlp.configs import TrainingConfig
from models.vlp.phases import PhaseWeights, apportion, take_turns
from models.vlp.planned_phases import MixedPhase, MixtureDraw, PhaseInTurns, PlannedPhase
from models.vlp.schedule import pairs_per_step


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
        draw = MixtureDraw(self.seed, self.sizes)
        batches: list[NDArray[np.int64]] = []
        epochs_done = [0] * len(self.sizes)
        for phase in self.phases:
            first = max(first_step - phase.first_step + 1, 1)
            last = min(last_step - phase.first_step + 1, phase.num_steps)
            if first <= last:
                batches += phase.batches(draw, first, last, epochs_done)
            begun = phase.epochs(self.sizes)
            epochs_done = [done + more for done, more in zip(epochs_done, begun, strict=True)]
        return batches


@dataclass(frozen=True, slots=True)
class NamedSizes:
    """How many pairs each source has, with its name for errors."""

    names: Sequence[str]
    sizes: Sequence[int]


def order_of_one(settings: TrainingConfig, num_pairs: int, num_ranks: int) -> PairOrder:
    """The order of a training on one source; a batch is all of it where it holds fewer pairs.

    Raises:
        ValueError: If there are too few, or the batch cannot be shared out or cut into chunks.
    """
    batch_size = pairs_per_step(settings, num_pairs, num_ranks)
    steps_per_epoch = num_pairs // batch_size
    num_steps = settings.steps or settings.epochs * steps_per_epoch
    phase = MixedPhase(1, num_steps, (batch_size,))
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
        ValueError: If a phase has no step, a source no pair in the batches of its phase, or fewer
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
        planned.append(_planned(NamedSizes(names, sizes), phase, first_step, steps, batch_size))
        first_step += steps
    return PairOrder(
        settings.seed, tuple(sizes), batch_size, steps_per_epoch, num_steps, tuple(planned)
    )


def _planned(
    sources: NamedSizes, phase: PhaseWeights, first_step: int, num_steps: int, batch_size: int
) -> PlannedPhase:
    if phase.batches == "one_source":
        turns = take_turns(num_steps, phase.weights)
        _require_turns(sources, phase.weights, turns, batch_size)
        return PhaseInTurns(first_step, batch_size, turns)
    counts = apportion(batch_size, phase.weights)
    _require_pairs(sources, phase.weights, counts, batch_size)
    return MixedPhase(first_step, num_steps, counts)


def _require_pairs(
    sources: NamedSizes, weights: Sequence[float], counts: Sequence[int], batch_size: int
) -> None:
    """Every source of a phase has a pair in each batch, and no pair is twice in one."""
    for name, size, weight, count in zip(
        sources.names, sources.sizes, weights, counts, strict=True
    ):
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


def _require_turns(
    sources: NamedSizes, weights: Sequence[float], turns: Sequence[int], batch_size: int
) -> None:
    """Every source of a phase has a batch, and no pair is twice in one."""
    for source, (name, size) in enumerate(zip(sources.names, sources.sizes, strict=True)):
        if weights[source] and source not in turns:
            raise ValueError(
                f"every source of a phase must have a batch, {name} has none of {len(turns)} by "
                f"its weight of {weights[source]:g}; raise steps or its weight, or leave it out"
            )
        if weights[source] and batch_size > size:
            raise ValueError(
                f"a batch of one source takes {batch_size} different pairs, {name} has {size} to "
                "train on; lower batch_size, or mix the sources in every batch"
            )
