"""The state that training changes, and one step of it.

Shape suffixes: B batch, S image side, V text draws, L tokens.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.devices import precision_named
from models.vlp.cached_batches import backward_in_chunks, backward_in_shares
from models.vlp.checkpoint import (
    MODEL_FILE,
    TRAINING_FILE,
    Checkpoint,
    TrainingProvenance,
    optimiser_tensors,
    remove_unfinished,
    restore_optimiser,
    save_checkpoint,
)
from models.vlp.configs import PretrainingConfig
from models.vlp.data import PairImages, PairTexts
from models.vlp.images import as_drawn, as_input, draw_views
from models.vlp.kept_memory import freed_memory_kept
from models.vlp.model import VisionLanguageModel
from models.vlp.objectives import ObjectiveLoss
from models.vlp.pair_order import PairOrder
from models.vlp.ranks import Ranks
from models.vlp.schedule import (
    Purpose,
    learning_rate,
    numpy_random,
    torch_random,
    torch_seed,
)
from models.vlp.text_views import TextViews, views_of
from models.vlp.towers import build_tokenizer
from models.vlp.training_log import LOG_FILE, StepLog, TrainingLog
from models.vlp.training_parts import build_average, build_model, build_optimiser
from models.vlp.validation import EarlyStopping, Validation
from storage.errors import FactoryError


class TrainingRun:
    """The state that a step changes: model, optimiser, average, early stopping, step."""

    def __init__(
        self,
        config: PretrainingConfig,
        texts: PairTexts,
        order: PairOrder,
        provenance: TrainingProvenance,
        folder: Path,
        previous: Checkpoint | None,
        ranks: Ranks,
    ) -> None:
        """Begin a run, or go on from a checkpoint."""
        self.config, self.provenance, self.folder = config, provenance, folder
        self.ranks = ranks
        self.order = order
        self.batch_size, self.steps_per_epoch = order.batch_size, order.steps_per_epoch
        self.num_steps = order.num_steps
        self.step = previous.step if previous else 0
        self.device = ranks.device

        views = views_of(texts, config.objective.text_view)
        said = chain.from_iterable(views)
        tokenizer = previous.tokenizer if previous else build_tokenizer(config.text_tower, said)
        self.texts = TextViews(views, tokenizer, config.text_tower.max_tokens)
        self.model = build_model(config, tokenizer, previous, folder, ranks)
        self.optimiser = build_optimiser(self.model, config.training)
        self.averaged = build_average(self.model, config.training, previous)
        patience = config.training.patience
        stored = previous.stopping if previous else {}
        self.stopping = EarlyStopping(patience, stored) if patience else None
        if previous:
            restore_optimiser(self.model, self.optimiser, previous.optimiser)

    def validation(self, texts: PairTexts, images: PairImages) -> Validation:
        """The looks that early stopping takes, at the reports and images of the validation split.

        Raises:
            ValueError: If there are too few, or a report has no text.
        """
        views = views_of(texts, self.config.objective.text_view)
        tokenizer, max_tokens = self.model.tokenizer, self.config.text_tower.max_tokens
        read = TextViews(views, tokenizer, max_tokens)
        return Validation(self.config, read, images, self.batch_size, self.ranks)

    def train(
        self,
        images: PairImages,
        validation: Validation | None,
        on_step: Callable[[StepLog], None] | None,
    ) -> None:
        """All steps that are left, with a log line each, checkpoints, and the model at the end."""
        last_step = self.step if self.stopping and self.stopping.stopped else self.num_steps
        pairs = self.order.batches(self.step + 1, last_step)
        own = self.ranks.rows(self.batch_size)
        own_images = images.batches([pairs_B[own] for pairs_B in pairs])
        devices = [self.device] if self.device.type == "cuda" else []
        with ExitStack() as opened:
            opened.enter_context(torch.random.fork_rng(devices=devices))
            opened.enter_context(freed_memory_kept())
            log = None
            began = time.perf_counter()
            if self.ranks.leads:
                remove_unfinished(self.folder)
                log = opened.enter_context(TrainingLog(self.folder / LOG_FILE, self.step))
                began -= log.seconds_before
            for pairs_B, images_B1SS in zip(pairs, own_images, strict=True):
                self.step += 1
                views_B1SS = self._image_views(images_B1SS)
                entry = self._update(views_B1SS, list(self._text_views(pairs_B)), began)
                if validation and self.stopping:
                    entry = self._looked(entry, validation, self.stopping)
                if log:
                    log.append(entry)
                if on_step:
                    on_step(entry)
                self._save_if_due()
                if self.stopping and self.stopping.stopped:
                    break
        self.num_steps = self.step
        if self.ranks.leads:
            self._save_result()
            (self.folder / TRAINING_FILE).unlink(missing_ok=True)

    def _image_views(self, images_B1SS: Tensor) -> Tensor:
        random = torch_random(self.config.training.seed, Purpose.IMAGE, self.step)
        draws = draw_views(self.batch_size, self.config.augmentation, random)
        on_device = images_B1SS.to(self.device, non_blocking=True)
        return as_drawn(as_input(on_device), draws.of(self.ranks.rows(self.batch_size)))

    def _text_views(self, pairs_B: NDArray[np.int64]) -> Iterator[Tensor]:
        random = numpy_random(self.config.training.seed, Purpose.TEXT, self.step)
        own = self.ranks.rows(self.batch_size)
        for _ in range(self.config.training.texts_per_image):
            yield torch.from_numpy(self.texts.draw(pairs_B, random)[own]).to(self.device)

    def _update(self, images_B1SS: Tensor, ids_VBL: list[Tensor], began: float) -> StepLog:
        """One optimiser step."""
        settings = self.config.training
        rate = learning_rate(self.step, self.num_steps, settings.learning_rate, settings.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        dropout_seed = torch_seed(settings.seed, Purpose.DROPOUT, self.step)
        torch.manual_seed(dropout_seed + self.ranks.number)  # rows of their own, noise of their own
        progress = (self.step - 1) / self.steps_per_epoch
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._backward(images_B1SS, ids_VBL, progress)
        value = self._finite(loss.total.item(), rate)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_gradient_norm)
        self.optimiser.step()
        self.model.objective.constrain()
        if self.averaged:
            self.averaged.update_parameters(self.model)
        seconds = time.perf_counter() - began
        terms = {name: term.item() for name, term in loss.terms.items()}
        return StepLog(self.step, self.num_steps, value, rate, seconds, terms)

    def _backward(
        self, images_B1SS: Tensor, ids_VBL: list[Tensor], progress: float
    ) -> ObjectiveLoss:
        """The batch's loss, and its gradient in the weights."""
        precision = precision_named(self.config.training.precision, self.device)
        chunk_size = self.config.training.chunk_size
        if chunk_size and chunk_size < len(images_B1SS):
            loss = backward_in_chunks(
                self.model, images_B1SS, ids_VBL, progress, precision, chunk_size, self.ranks
            )
        elif self.ranks.count > 1:
            loss = backward_in_shares(
                self.model, images_B1SS, ids_VBL, progress, precision, self.ranks
            )
        else:
            loss = self.model.loss(images_B1SS, ids_VBL, progress, precision)
            torch.autograd.backward(loss.total)
        towers = (self.model.image_tower, self.model.text_tower)
        self.ranks.sum_gradients(
            chain.from_iterable(tower.parameters() for tower in towers),
            self.model.objective.parameters(),
        )
        return loss

    def _looked(self, entry: StepLog, validation: Validation, stopping: EarlyStopping) -> StepLog:
        """The step's entry, with the validation loss where one is due."""
        if self.step % self.config.training.validate_every_steps and self.step < self.num_steps:
            return entry
        precision = precision_named(self.config.training.precision, self.device)
        loss = validation.loss(self._trained(), self.step / self.steps_per_epoch, precision)
        stopping.see(self._finite(loss, entry.learning_rate), self._trained().state_dict())
        return replace(entry, terms={**entry.terms, "validation": loss})

    def _trained(self) -> VisionLanguageModel:
        """The model as it would be used: the average, where one is kept."""
        if self.averaged is None:
            return self.model
        averaged = self.averaged.module
        assert isinstance(averaged, VisionLanguageModel)
        return averaged

    def _finite(self, loss: float, rate: float) -> float:
        if math.isfinite(loss):
            return loss
        raise FactoryError(
            f"the loss must stay finite, got {loss} at step {self.step} of {self.num_steps} with "
            f"learning rate {rate:.2g}; lower learning_rate or max_gradient_norm, raise warmup"
        )

    def _save_if_due(self) -> None:
        due = self.step % self.config.training.checkpoint_every_steps == 0
        if due and self.step < self.num_steps and self.ranks.leads:
            state = replace(
                self._checkpoint(self.model.state_dict()),
                optimiser=optimiser_tensors(self.model, self.optimiser),
                averaged=self.averaged.state_dict() if self.averaged else {},
                stopping=self.stopping.tensors() if self.stopping else {},
            )
            save_checkpoint(state, self.folder / TRAINING_FILE)

    def _save_result(self) -> None:
        best = self.stopping.best if self.stopping else self._trained().state_dict()
        save_checkpoint(self._checkpoint(best), self.folder / MODEL_FILE)

    def _checkpoint(self, weights: Mapping[str, Tensor]) -> Checkpoint:
        return Checkpoint(
            step=self.step,
            num_steps=self.num_steps,
            config=self.config,
            tokenizer=self.model.tokenizer,
            provenance=self.provenance,
            model=weights,
            text_architecture=self.model.text_tower.architecture,
        )
