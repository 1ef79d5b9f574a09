"""The loss on the validation split, and what follows from it: the best weights, and when to stop.

Shape suffixes: B batch, S image side, V text draws, L tokens.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from models.vlp.cached_batches import joined_features
from models.vlp.configs import PretrainingConfig
from models.vlp.data import PairImages
from models.vlp.images import as_input
from models.vlp.model import VisionLanguageModel, evaluating
from models.vlp.ranks import Ranks
from models.vlp.schedule import Purpose, batch_pairs, numpy_random
from models.vlp.text_views import TextViews

_BEST, _BEST_LOSS, _STALE = "best/", "best_loss", "stale"


class Validation:
    """The validation split in batches, the same at every look: no views, one text draw each.

    A contrastive loss depends on how many pairs it compares, so batches are as large as in
    training and an odd rest is left out; a split smaller than a batch is one batch. Processes
    that share a run take turns, a batch each.
    """

    def __init__(
        self,
        config: PretrainingConfig,
        texts: TextViews,
        images: PairImages,
        batch_size: int,
        ranks: Ranks,
    ) -> None:
        num_pairs = len(texts)
        if num_pairs < 2:
            raise ValueError(
                f"early stopping needs at least 2 validation pairs to contrast, got {num_pairs}; "
                "leave patience empty, or plan a larger share for this split"
            )
        self._texts, self._images, self._settings = texts, images, config.training
        self._ranks = ranks
        size = min(batch_size, num_pairs)
        seed = config.training.seed
        self._pairs = batch_pairs(seed, num_pairs, size, 1, num_pairs // size)

    def loss(self, model: VisionLanguageModel, progress: float, precision: torch.dtype) -> float:
        """Mean of the batches' losses, nats; the model's mode and statistics stay as they were."""
        losses = torch.zeros(len(self._pairs), dtype=torch.float64, device=model.device)
        chunk_size = self._settings.chunk_size or self._settings.batch_size
        own = range(self._ranks.number, len(self._pairs), self._ranks.count)
        images_of_own = self._images.batches([self._pairs[number] for number in own])
        with evaluating(model):
            for number, images_B1SS in zip(own, images_of_own, strict=True):
                random = numpy_random(self._settings.seed, Purpose.VALIDATION, number)
                drawn_BL = self._texts.draw(self._pairs[number], random)
                ids_BL = torch.from_numpy(drawn_BL).to(model.device)
                inputs_B1SS = as_input(images_B1SS.to(model.device))
                images, texts = joined_features(model, inputs_B1SS, [ids_BL], precision, chunk_size)
                losses[number] = model.compare(images, texts, progress).total
        return math.fsum(self._ranks.sum(losses).tolist()) / len(losses)


class EarlyStopping:
    """Keeps the weights of the lowest validation loss, and says when it has not fallen for long."""

    def __init__(self, patience: int, stored: Mapping[str, Tensor]) -> None:
        """Begin, or go on.

        Args:
            patience: Looks without a new lowest loss before training ends.
            stored: What `tensors` gave; empty for a new run.
        """
        self._patience = patience
        self._loss = stored[_BEST_LOSS].item() if stored else math.inf
        self._stale = int(stored[_STALE].item()) if stored else 0
        self.best = {
            name.removeprefix(_BEST): value
            for name, value in stored.items()
            if name.startswith(_BEST)
        }

    def see(self, loss: float, weights: Mapping[str, Tensor]) -> None:
        """Take a look's loss, and keep a copy of its weights if it is the lowest yet."""
        if loss < self._loss:
            self._loss, self._stale = loss, 0
            self.best = {name: value.detach().cpu().clone() for name, value in weights.items()}
        else:
            self._stale += 1

    @property
    def stopped(self) -> bool:
        """True once patience is spent."""
        return self._stale >= self._patience

    def tensors(self) -> dict[str, Tensor]:
        """All of it, to be stored in the checkpoint that training resumes from."""
        scalars = {
            _BEST_LOSS: torch.tensor(self._loss, dtype=torch.float64),
            _STALE: torch.tensor(self._stale),
        }
        return scalars | {_BEST + name: value for name, value in self.best.items()}
