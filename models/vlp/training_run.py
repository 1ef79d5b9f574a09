"""The state that training changes, and one step of it.

Shape suffixes: B batch, S image side, V text draws, L tokens.
"""

import math
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.vlp.cached_batches import backward_in_chunks
from models.vlp.checkpoint import (
    MODEL_FILE,
    TRAINING_FILE,
    Checkpoint,
    TrainingProvenance,
    optimiser_tensors,
    restore_model,
    restore_optimiser,
    save_checkpoint,
)
from models.vlp.configs import PretrainingConfig, TrainingConfig
from models.vlp.data import PairImages, PairTexts
from models.vlp.images import as_input, random_views
from models.vlp.model import VisionLanguageModel
from models.vlp.objectives import ObjectiveLoss
from models.vlp.schedule import (
    Purpose,
    batch_pairs,
    learning_rate,
    numpy_random,
    torch_random,
    torch_seed,
)
from models.vlp.text_tokenizers import TextTokenizer
from models.vlp.text_views import TextViews, views_of
from models.vlp.towers import build_tokenizer
from models.vlp.training_log import LOG_FILE, StepLog, TrainingLog
from storage.errors import FactoryError


class TrainingRun:
    """The state that a step changes: model, optimiser, step."""

    def __init__(
        self,
        config: PretrainingConfig,
        texts: PairTexts,
        provenance: TrainingProvenance,
        folder: Path,
        previous: Checkpoint | None,
    ) -> None:
        self.config, self.provenance, self.folder = config, provenance, folder
        self.num_pairs = len(texts)
        self.batch_size = _batch_size(config.training, self.num_pairs)
        self.steps_per_epoch = self.num_pairs // self.batch_size
        self.num_steps = config.training.steps or config.training.epochs * self.steps_per_epoch
        self.step = previous.step if previous else 0
        self.device = _device(config.training.device)

        views = views_of(texts, config.objective.text_view)
        said = chain.from_iterable(views)
        tokenizer = previous.tokenizer if previous else build_tokenizer(config.text_tower, said)
        self.texts = TextViews(views, tokenizer, config.text_tower.max_tokens)
        self.model = _model(config, tokenizer, previous, folder).to(self.device).train()
        self.optimiser = build_optimiser(self.model, config.training)
        if previous:
            restore_optimiser(self.model, self.optimiser, previous.optimiser)

    def train(self, images: PairImages, on_step: Callable[[StepLog], None] | None) -> None:
        """All steps that are left, with a log line each, checkpoints, and the model at the end."""
        seed = self.config.training.seed
        pairs = batch_pairs(seed, self.num_pairs, self.batch_size, self.step + 1, self.num_steps)
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            TrainingLog(self.folder / LOG_FILE, self.step) as log,
            torch.random.fork_rng(devices=devices),
        ):
            began = time.perf_counter() - log.seconds_before
            for pairs_B, images_B1SS in zip(pairs, images.batches(pairs), strict=True):
                self.step += 1
                views_B1SS = self._image_views(images_B1SS)
                entry = self._update(views_B1SS, list(self._text_views(pairs_B)), began)
                log.append(entry)
                if on_step:
                    on_step(entry)
                self._save_if_due()
        self._save(MODEL_FILE, with_optimiser=False)
        (self.folder / TRAINING_FILE).unlink(missing_ok=True)

    def _image_views(self, images_B1SS: Tensor) -> Tensor:
        random = torch_random(self.config.training.seed, Purpose.IMAGE, self.step)
        on_device = images_B1SS.to(self.device, non_blocking=True)
        return random_views(as_input(on_device), self.config.augmentation, random)

    def _text_views(self, pairs_B: NDArray[np.int64]) -> Iterator[Tensor]:
        random = numpy_random(self.config.training.seed, Purpose.TEXT, self.step)
        for _ in range(self.config.training.texts_per_image):
            yield torch.from_numpy(self.texts.draw(pairs_B, random)).to(self.device)

    def _update(self, images_B1SS: Tensor, ids_VBL: list[Tensor], began: float) -> StepLog:
        """One optimiser step."""
        settings = self.config.training
        rate = learning_rate(self.step, self.num_steps, settings.learning_rate, settings.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(torch_seed(settings.seed, Purpose.DROPOUT, self.step))
        progress = (self.step - 1) / self.steps_per_epoch
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._backward(images_B1SS, ids_VBL, progress)
        value = self._finite(loss.total.item(), rate)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_gradient_norm)
        self.optimiser.step()
        self.model.objective.constrain()
        seconds = time.perf_counter() - began
        terms = {name: term.item() for name, term in loss.terms.items()}
        return StepLog(self.step, self.num_steps, value, rate, seconds, terms)

    def _backward(
        self, images_B1SS: Tensor, ids_VBL: list[Tensor], progress: float
    ) -> ObjectiveLoss:
        """The batch's loss, and its gradient in the weights."""
        precision = _precision(self.config.training, self.device)
        chunk_size = self.config.training.chunk_size
        if chunk_size and chunk_size < len(images_B1SS):
            return backward_in_chunks(
                self.model, images_B1SS, ids_VBL, progress, precision, chunk_size
            )
        loss = self.model.loss(images_B1SS, ids_VBL, progress, precision)
        torch.autograd.backward(loss.total)
        return loss

    def _finite(self, loss: float, rate: float) -> float:
        if math.isfinite(loss):
            return loss
        raise FactoryError(
            f"the loss must stay finite, got {loss} at step {self.step} of {self.num_steps} with "
            f"learning rate {rate:.2g}; lower learning_rate or max_gradient_norm, raise warmup"
        )

    def _save_if_due(self) -> None:
        due = self.step % self.config.training.checkpoint_every_steps == 0
        if due and self.step < self.num_steps:
            self._save(TRAINING_FILE, with_optimiser=True)

    def _save(self, name: str, *, with_optimiser: bool) -> None:
        checkpoint = Checkpoint(
            self.step,
            self.num_steps,
            self.config,
            self.model.tokenizer,
            self.provenance,
            self.model.state_dict(),
            optimiser_tensors(self.model, self.optimiser) if with_optimiser else {},
            self.model.text_tower.architecture,
        )
        save_checkpoint(checkpoint, self.folder / name)


def _batch_size(settings: TrainingConfig, num_pairs: int) -> int:
    """The planned batch, or all pairs where there are fewer."""
    if num_pairs < 2:
        raise ValueError(
            f"training needs at least 2 pairs to contrast, got {num_pairs}; generate more"
        )
    batch_size = min(settings.batch_size, num_pairs)
    if settings.chunk_size and batch_size % settings.chunk_size:
        raise ValueError(
            f"chunk_size must divide the batch of {batch_size} pairs, got {settings.chunk_size}; "
            "choose another, so that no chunk is a rest"
        )
    return batch_size


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device must be one this host has, got {name!r}; try auto or cpu")
    return torch.device(name)


def _precision(settings: TrainingConfig, device: torch.device) -> torch.dtype:
    if settings.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if settings.precision == "bfloat16" else torch.float32


def _model(
    config: PretrainingConfig, tokenizer: TextTokenizer, previous: Checkpoint | None, folder: Path
) -> VisionLanguageModel:
    """The previous state's model, or a fresh one whose random weights follow from the seed."""
    if previous:
        return restore_model(previous, folder / TRAINING_FILE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(config.training.seed, Purpose.WEIGHTS, 0))
        return VisionLanguageModel(config, tokenizer)


def build_optimiser(model: VisionLanguageModel, settings: TrainingConfig) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices and kernels alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
