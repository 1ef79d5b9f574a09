"""What happens at which step, as pure functions of seed and step: order, rate, randomness.

Nothing is carried from step to step, so a run resumed at step k draws what it would have drawn.
"""

import math
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray

from models.vlp.configs import TrainingConfig


class Purpose(IntEnum):
    """What a random stream is for; part of its seed, so never renumber."""

    WEIGHTS = 0
    ORDER = 1
    TEXT = 2
    IMAGE = 3
    DROPOUT = 4
    VALIDATION = 5
    MIXING = 6


def numpy_random(seed: int, purpose: Purpose, step: int) -> np.random.Generator:
    """The stream of one purpose at one step (or epoch)."""
    return np.random.default_rng([seed, purpose, step])


def torch_seed(seed: int, purpose: Purpose, step: int) -> int:
    """The same for torch, 0 <= seed < 2^63."""
    return int(numpy_random(seed, purpose, step).integers(2**63 - 1))


def torch_random(seed: int, purpose: Purpose, step: int) -> torch.Generator:
    """A CPU generator of one purpose at one step."""
    return torch.Generator().manual_seed(torch_seed(seed, purpose, step))


def pairs_per_step(settings: TrainingConfig, num_pairs: int, num_ranks: int) -> int:
    """The planned batch, or all pairs where there are fewer.

    Raises:
        ValueError: If there are too few, the batch is no whole number of equal shares, or a share
            no whole number of chunks.
    """
    if num_pairs < 2:
        raise ValueError(
            f"training needs at least 2 pairs to contrast, got {num_pairs}; generate more"
        )
    batch_size = min(settings.batch_size, num_pairs)
    if batch_size % num_ranks:
        raise ValueError(
            f"num_processes must divide the batch of {batch_size} pairs, got {num_ranks}; "
            "choose a batch_size that is a multiple of it, and no larger than the training split"
        )
    share = batch_size // num_ranks
    if settings.chunk_size and share % settings.chunk_size:
        whose = "" if num_ranks == 1 else " of each process"
        raise ValueError(
            f"chunk_size must divide the batch of {share} pairs{whose}, got "
            f"{settings.chunk_size}; choose another, so that no chunk is a rest"
        )
    return batch_size


def batch_pairs(
    seed: int,
    num_pairs: int,
    batch_size: int,
    first_step: int,
    last_step: int,
    source: int = 0,
    first_epoch: int = 0,
) -> list[NDArray[np.int64]]:
    """Pair numbers of each step in a range; every epoch a new order, its odd rest left out.

    Args:
        seed: Of the run.
        num_pairs: Pairs in the split, at least `batch_size`.
        batch_size: Pairs per step.
        first_step: First step wanted, from 1.
        last_step: Last step wanted, inclusive.
        source: Whose pairs, where several are mixed; each has orders of its own.
        first_epoch: Number of the epoch that step 1 begins.
    """
    per_epoch = num_pairs // batch_size
    of_source = [source] if source else []  # a single source draws what it drew before mixtures
    batches: list[NDArray[np.int64]] = []
    for epoch in range((first_step - 1) // per_epoch, (last_step - 1) // per_epoch + 1):
        words = [seed, Purpose.ORDER, first_epoch + epoch, *of_source]
        order = np.random.default_rng(words).permutation(num_pairs)
        start = max(first_step - 1 - epoch * per_epoch, 0)
        end = min(last_step - epoch * per_epoch, per_epoch)
        batches += [order[k * batch_size : (k + 1) * batch_size] for k in range(start, end)]
    return batches


def learning_rate(step: int, num_steps: int, peak: float, warmup: float) -> float:
    """Linear rise over `warmup` of the steps, then half a cosine to zero.

    Args:
        step: From 1.
        num_steps: Steps in all.
        peak: Highest rate.
        warmup: Share of the steps, 0 <= warmup < 1.
    """
    rising = warmup * num_steps
    if step <= rising:
        return peak * step / rising
    done = (step - rising) / (num_steps - rising)
    return peak * 0.5 * (1 + math.cos(math.pi * done))
