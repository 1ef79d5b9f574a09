"""Full fine-tuning: the image tower and a linear head trained together on labels.

Shape suffixes: N images, F findings, B batch, S image side.
"""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.devices import device_named
from models.downstream.few_labels import (
    FewLabelsResult,
    FineTuningConfig,
    Fitted,
    measure_shares,
)
from models.downstream.finding_scores import macro_auroc
from models.downstream.labelled_splits import LabelledSplits
from models.downstream.metrics import UNKNOWN
from models.vlp.images import as_input, fit_square, random_views
from models.vlp.model import VisionLanguageModel, evaluating
from models.vlp.towers import image_channels

SCORE_BATCH = 64


class Classifier(nn.Module):
    """An image tower and one logit a finding."""

    def __init__(self, tower: nn.Module, num_channels: int, num_findings: int) -> None:
        super().__init__()
        self.tower = tower
        self.head = nn.Linear(num_channels, num_findings)

    def forward(self, images_B1SS: Tensor) -> Tensor:
        """Logits of images in -1..1, (B, F)."""
        logits_BF: Tensor = self.head(self.tower(images_B1SS).pooled_BC)
        return logits_BF


def evaluate_fine_tuning(
    model: VisionLanguageModel, splits: LabelledSplits, config: FineTuningConfig
) -> FewLabelsResult:
    """AUROC per finding and their macro mean at every share of the labels.

    Every share begins at the model's weights and takes the same number of steps at most; the
    weights of the highest macro AUROC on validation patients are measured.

    Args:
        model: Where training begins; is not changed.
        splits: Train, validation and test by patient.
        config: Shares, steps and rate.

    Raises:
        ValueError: If the device is not there, or the loss is no number.
    """
    size = model.config.image_tower.image_size_px
    train_N1SS, validation_N1SS, test_N1SS = (
        _squares(labelled.images, size)
        for labelled in (splits.train, splits.validation, splits.test)
    )
    device = device_named(config.device)

    def fit(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Fitted:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            tower = copy.deepcopy(model.image_tower)
            classifier = Classifier(tower, image_channels(tower, size)[0], len(columns))
            training = FineTuning(
                classifier.to(device),
                train_N1SS[torch.from_numpy(rows)],
                splits.train.labels_NF[np.ix_(rows, columns)],
                model,
                config,
            )
            chosen = training.run(validation_N1SS, splits.validation.labels_NF[:, columns])
            return Fitted(logits(classifier, test_N1SS), chosen)

    return measure_shares(splits, config, fit)


class FineTuning:
    """One training of a classifier, which is left with its best weights."""

    def __init__(
        self,
        classifier: Classifier,
        images_N1SS: Tensor,
        labels_NF: NDArray[np.int8],
        model: VisionLanguageModel,
        config: FineTuningConfig,
    ) -> None:
        self._classifier = classifier
        self._images_N1SS = images_N1SS
        self._labels_NF = torch.from_numpy(labels_NF)
        self._augmentation = model.config.augmentation
        self._config = config
        self._views = torch.Generator().manual_seed(config.seed)
        self._optimiser = torch.optim.AdamW(
            classifier.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def run(self, validation_N1SS: Tensor, validation_NF: NDArray[np.int8]) -> dict[str, float]:
        """Train until patience is spent; returns the best step and its macro AUROC."""
        best_macro, best_step, stale = -1.0, 0, 0
        best = self._classifier.state_dict()
        for step, rows in enumerate(self._batches(), 1):
            self._take_step(rows, step)
            if step % self._config.validate_every_steps and step != self._config.steps:
                continue
            macro = macro_auroc(logits(self._classifier, validation_N1SS), validation_NF)
            assert macro is not None, "measure_shares asks for nothing that cannot be chosen"
            if macro > best_macro:
                best_macro, best_step, stale = macro, step, 0
                best = copy.deepcopy(self._classifier.state_dict())
            else:
                stale += 1
            if stale == self._config.patience:
                break
        self._classifier.load_state_dict(best)
        return {"step": best_step, "validation_macro_auroc": best_macro}

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        """Rows of each step, in shuffled passes over the draw; what fills no batch is left."""
        random = np.random.default_rng([self._config.seed, *b"fine-tuning"])
        size = min(self._config.batch_size, len(self._images_N1SS))
        rows = np.empty(0, np.int64)
        for _ in range(self._config.steps):
            if len(rows) < size:
                rows = random.permutation(len(self._images_N1SS))
            yield rows[:size]
            rows = rows[size:]

    def _take_step(self, rows: NDArray[np.int64], step: int) -> None:
        device = self._classifier.head.weight.device
        images_B1SS = as_input(self._images_N1SS[torch.from_numpy(rows)].to(device))
        labels_BF = self._labels_NF[torch.from_numpy(rows)].to(device)
        self._classifier.train()
        logits_BF = self._classifier(random_views(images_B1SS, self._augmentation, self._views))
        loss = label_loss(logits_BF, labels_BF)
        if not torch.isfinite(loss):
            raise ValueError(
                f"the loss of fine-tuning must be finite, got {loss.item()} at step {step}; "
                f"lower learning_rate, {self._config.learning_rate:g} here"
            )
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()


def label_loss(logits_BF: Tensor, labels_BF: Tensor) -> Tensor:
    """Mean binary cross-entropy over the known labels, nats; 0 if none is known.

    Args:
        logits_BF: Of each finding.
        labels_BF: 1 present, 0 absent, -1 unknown (left out).
    """
    known_BF = labels_BF != UNKNOWN
    each_BF = functional.binary_cross_entropy_with_logits(
        logits_BF, labels_BF.clamp(min=0).to(logits_BF.dtype), reduction="none"
    )
    return (each_BF * known_BF).sum() / known_BF.sum().clamp(min=1)


def logits(classifier: Classifier, images_N1SS: Tensor) -> NDArray[np.float32]:
    """Logits of uint8 images in evaluation mode, (N, F), in order."""
    device = classifier.head.weight.device
    with evaluating(classifier):
        rows = [
            classifier(as_input(batch_B1SS.to(device))).cpu()
            for batch_B1SS in torch.split(images_N1SS, SCORE_BATCH)
        ]
    return torch.cat(rows).numpy()


def _squares(images: Sequence[NDArray[np.uint8]], size_px: int) -> Tensor:
    """Images at the tower's size, uint8 (N, 1, S, S)."""
    return torch.from_numpy(np.stack([fit_square(image, size_px) for image in images])[:, None])
