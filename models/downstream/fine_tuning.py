"""Full fine-tuning: the image tower and a linear head trained together on labels.

Shape suffixes: N images, F findings, B batch, S image side.
"""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.devices import device_named
from models.downstream.best_weights import train_to_best
from models.downstream.few_labels import (
    FewLabelsResult,
    FineTuningConfig,
    Fitted,
    measure_shares,
)
from models.downstream.finding_scores import macro_auroc
from models.downstream.labelled_splits import LabelledSplits
from models.downstream.metrics import UNKNOWN
from models.vlp.images import as_input, random_views, squares
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
        squares(labelled.images, size)
        for labelled in (splits.train, splits.validation, splits.test)
    )
    device = device_named(config.device)

    def fit(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Fitted:
        drawn_N1SS = train_N1SS[torch.from_numpy(rows)]
        labels_NF = torch.from_numpy(splits.train.labels_NF[np.ix_(rows, columns)])
        known_NF = splits.validation.labels_NF[:, columns]
        views = torch.Generator().manual_seed(config.seed)

        def batch_loss(batch: Tensor) -> Tensor:
            images_B1SS = as_input(drawn_N1SS[batch].to(device))
            images_B1SS = random_views(images_B1SS, model.config.augmentation, views)
            return label_loss(classifier(images_B1SS), labels_NF[batch].to(device))

        def look() -> float:
            macro = macro_auroc(logits(classifier, validation_N1SS), known_NF)
            assert macro is not None, "measure_shares asks for nothing that cannot be chosen"
            return macro

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            tower = copy.deepcopy(model.image_tower)
            classifier = Classifier(tower, image_channels(tower, size)[0], len(columns)).to(device)
            best = train_to_best(classifier, batch_loss, look, len(rows), config)
        chosen = {"step": best.step, "validation_macro_auroc": best.value}
        return Fitted(logits(classifier, test_N1SS), chosen)

    return measure_shares(splits, config, fit)


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
