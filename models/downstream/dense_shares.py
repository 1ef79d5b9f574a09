"""A head on a tower's maps at 1, 10 and 100 % of the labels: what both dense tasks share.

Everything is trained twice, from the model's weights and from random ones of the same tower, so
that what pre-training adds is seen.

Shape suffixes: N images, F findings.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.downstream.dense_configs import DenseConfig
from models.downstream.dense_results import DenseResult, DenseShare, FindingFigures, Measured
from models.downstream.labelled_splits import LabelledSplits, draw_order, drawn_rows
from models.downstream.stages import untrained_tower
from models.vlp.model import VisionLanguageModel
from models.vocabulary.findings import Finding

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True)
class Trained(Generic[FoundT]):
    """What a trained network found in the test images, and what validation images decided."""

    found: FoundT
    chosen: Mapping[str, float]


class DenseTask(Protocol[FoundT]):
    """Segmentation or detection, its images prepared."""

    def train(
        self, tower: nn.Module, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> Trained[FoundT]:
        """Train a head on a tower, which may change, for some training images and findings."""
        ...

    def measure(
        self, pretrained: FoundT, untrained: FoundT, columns: NDArray[np.int64]
    ) -> Measured:
        """Every measure of those findings, of both towers."""
        ...


def measure_dense_shares(
    model: VisionLanguageModel,
    splits: LabelledSplits,
    config: DenseConfig,
    task: DenseTask[FoundT],
) -> DenseResult:
    """Train on nested draws of the training patients, measure each on all test patients.

    Args:
        model: Whose image tower is asked; is not changed.
        splits: Which image shows which of the findings asked for.
        config: Shares, draws and resamples.
        task: What is trained and measured.
    """
    order = draw_order(splits.train, config.seed)
    return DenseResult(
        num_images=len(splits.test.images),
        num_patients=len(set(splits.test.groups)),
        shares=tuple(
            _measure(model, splits, config, task, share, drawn_rows(splits.train, order, share))
            for share in config.shares
        ),
        config=config,
    )


def _measure(
    model: VisionLanguageModel,
    splits: LabelledSplits,
    config: DenseConfig,
    task: DenseTask[FoundT],
    share: float,
    rows: NDArray[np.int64],
) -> DenseShare:
    reasons = _undefined(splits, rows, config.findings)
    columns = np.array(
        [k for k, finding in enumerate(config.findings) if finding not in reasons], np.int64
    )
    num_shown_F = (splits.test.labels_NF == 1).sum(axis=0).tolist()
    found = {
        finding: FindingFigures(num, {}, reasons.get(finding))
        for finding, num in zip(config.findings, num_shown_F, strict=True)
    }
    num_patients = len({splits.train.groups[row] for row in rows})
    if len(columns) == 0:
        return DenseShare(share, len(rows), num_patients, {}, found, {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        towers = {
            "pretrained": copy.deepcopy(model.image_tower),
            "untrained": untrained_tower(model.config.image_tower),
        }
        trained = {}
        for name, tower in towers.items():
            torch.manual_seed(config.seed)  # both heads begin alike
            trained[name] = task.train(tower, rows, columns)
    measured = task.measure(trained["pretrained"].found, trained["untrained"].found, columns)
    for place, column in enumerate(columns):
        finding = config.findings[column]
        found[finding] = FindingFigures(num_shown_F[column], measured.per_finding(place))
    chosen = {name: one.chosen for name, one in trained.items()}
    return DenseShare(share, len(rows), num_patients, measured.macro(), found, chosen)


def _undefined(
    splits: LabelledSplits, rows: NDArray[np.int64], findings: tuple[Finding, ...]
) -> dict[Finding, str]:
    """Findings that a draw cannot teach, or that cannot be chosen by or measured, and why."""
    reasons = {}
    for column, finding in enumerate(findings):
        for what, labels_NF in (
            ("to train on", splits.train.labels_NF[rows]),
            ("to choose by", splits.validation.labels_NF),
            ("to measure on", splits.test.labels_NF),
        ):
            if 1 not in labels_NF[:, column] and finding not in reasons:
                reasons[finding] = f"undefined: no image {what} shows it"
    return reasons
