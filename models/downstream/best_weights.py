"""Training on a draw of labelled images up to the weights that validation patients like best."""

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.downstream.few_labels import TrainedConfig


class Best(NamedTuple):
    """The look that was kept: after which optimiser step, and its value."""

    step: int
    value: float


def train_to_best(
    network: nn.Module,
    batch_loss: Callable[[Tensor], Tensor],
    look: Callable[[], float],
    num_images: int,
    config: TrainedConfig,
) -> Best:
    """Train by AdamW until steps or patience are spent; the network is left at its best look.

    Args:
        network: Trained where its weights ask for gradients.
        batch_loss: Loss of the images of these numbers, the network being in training mode.
        look: What validation images say of the network as it is; higher is better.
        num_images: To train on.
        config: Steps, rate and patience.

    Raises:
        ValueError: If the loss is no number.
    """
    optimiser = torch.optim.AdamW(
        [weight for weight in network.parameters() if weight.requires_grad],
        config.learning_rate,
        weight_decay=config.weight_decay,
    )
    best, weights, stale = Best(0, -np.inf), network.state_dict(), 0
    for step, rows in enumerate(_batches(num_images, config), 1):
        network.train()
        loss = batch_loss(rows)
        if not torch.isfinite(loss):
            raise ValueError(
                f"the training loss must be finite, got {loss.item()} at step {step}; "
                f"lower learning_rate, {config.learning_rate:g} here"
            )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % config.validate_every_steps and step != config.steps:
            continue
        value = look()
        if value > best.value:
            best, stale = Best(step, value), 0
            weights = copy.deepcopy(network.state_dict())
        else:
            stale += 1
        if stale == config.patience:
            break
    network.load_state_dict(weights)
    return best


def _batches(num_images: int, config: TrainedConfig) -> Iterator[Tensor]:
    """Numbers of each step, in shuffled passes over the draw; what fills no batch is left."""
    random = np.random.default_rng([config.seed, *b"fine-tuning"])
    size = min(config.batch_size, num_images)
    rows = np.empty(0, np.int64)
    for _ in range(config.steps):
        if len(rows) < size:
            rows = random.permutation(num_images)
        yield torch.from_numpy(rows[:size])
        rows = rows[size:]
