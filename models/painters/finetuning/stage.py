"""The loop both stages share: autoencoder first, then the text-conditioned denoiser.

A stage says what its loss at a step is, as a pure function of weights and step: order, views,
text and noise are drawn anew from seed and step, so a run that was cut off goes on as if it had
not been.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from models.painters.finetuning.configs import StageConfig
from models.painters.finetuning.state import StageState, load_state, save_state
from models.vlp.checkpoint import optimiser_tensors, restore_optimiser
from models.vlp.training_log import StepLog, TrainingLog
from storage.errors import FactoryError


class Stage(Protocol):
    """One network to train.

    Attributes:
        name: Of its files.
        settings: Length and rate.
    """

    name: str
    settings: StageConfig

    @property
    def module(self) -> nn.Module:
        """Holds every parameter that is trained."""
        ...

    def loss(self, step: int) -> Tensor:
        """Loss of a step's batch, scalar; `step` counts from 1."""
        ...


class StageRun:
    """Trains a stage in a folder, or goes on where a run was cut off."""

    def __init__(
        self, stage: Stage, folder: Path, content: Mapping[str, str], checkpoint_every_steps: int
    ) -> None:
        self.stage, self.content = stage, content
        self.state_path = folder / f"{stage.name}.training.safetensors"
        self.log_path = folder / f"{stage.name}.log.jsonl"
        self.checkpoint_every_steps = checkpoint_every_steps
        self.parameters = dict(stage.module.named_parameters())
        self.optimiser = _optimiser(stage)
        self.step = 0
        self.average = {name: value.detach().clone() for name, value in self.parameters.items()}
        previous = load_state(self.state_path, content)
        if previous:
            self._restore(previous)
        self.resumed_at = self.step

    def train(
        self,
        on_step: Callable[[StepLog], None] | None = None,
        after_step: Callable[[int], None] | None = None,
    ) -> None:
        """All steps that are left, with a log line each; the module ends as the average.

        Args:
            on_step: Called with every log line.
            after_step: Called with the step's number once its state may be saved.

        Raises:
            FactoryError: If the loss stops being finite.
        """
        num_steps = self.stage.settings.steps
        self.stage.module.train()
        with TrainingLog(self.log_path, self.step) as log:
            before = time.perf_counter() - log.seconds_before
            while self.step < num_steps:
                entry = self._update(before)
                log.append(entry)
                if on_step:
                    on_step(entry)
                if self.step % self.checkpoint_every_steps == 0 or self.step == num_steps:
                    self._save()
                if after_step:
                    after_step(self.step)
        self._put(self.average)
        self.stage.module.eval()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in place of those in training, while the block runs."""
        kept = {name: value.detach().clone() for name, value in self.parameters.items()}
        self._put(self.average)
        self.stage.module.eval()
        try:
            yield
        finally:
            self._put(kept)
            self.stage.module.train()

    def _update(self, before: float) -> StepLog:
        settings = self.stage.settings
        began, self.step = time.perf_counter(), self.step + 1
        rate = settings.learning_rate * min(1.0, self.step / max(1, settings.warmup_steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.stage.loss(self.step)
        value = self._finite(loss.item(), rate)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), settings.max_gradient_norm)
        self.optimiser.step()
        self._average()
        now = time.perf_counter()
        terms = {"images_per_second": settings.batch_size / (now - began)}
        return StepLog(self.step, settings.steps, value, rate, now - before, terms)

    @torch.no_grad()
    def _average(self) -> None:
        """Follow the weights; the first steps count for little, so that the start is forgotten."""
        decay = min(self.stage.settings.average_decay, (1 + self.step) / (10 + self.step))
        averages = [self.average[name] for name in self.parameters]
        torch._foreach_lerp_(averages, [*self.parameters.values()], 1 - decay)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])

    def _finite(self, loss: float, rate: float) -> float:
        if math.isfinite(loss):
            return loss
        raise FactoryError(
            f"the loss of the {self.stage.name} must stay finite, got {loss} at step {self.step} "
            f"of {self.stage.settings.steps} with learning rate {rate:.2g}; lower learning_rate "
            "or max_gradient_norm, raise warmup_steps"
        )

    def _save(self) -> None:
        optimiser = optimiser_tensors(self.stage.module, self.optimiser)
        state = StageState(self.step, self.content, self.parameters, self.average, optimiser)
        save_state(state, self.state_path)

    def _restore(self, state: StageState) -> None:
        self.step = state.step
        self._put(state.weights)
        for name, value in self.average.items():
            value.copy_(state.average[name])
        restore_optimiser(self.stage.module, self.optimiser, state.optimiser)


def _optimiser(stage: Stage) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices and kernels alone."""
    parameters = list(stage.module.parameters())
    decay = stage.settings.weight_decay
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.settings.learning_rate, fused=True)
