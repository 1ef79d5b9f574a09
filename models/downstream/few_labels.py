"""A classifier at 1, 10 and 100 % of the labels: what linear probe and fine-tuning share.

Shape suffixes: N images, F findings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.downstream.finding_scores import Classified, Resampling, classify, one_class
from models.downstream.labelled_splits import LabelledSplits, draw_order, drawn_rows
from models.downstream.metrics import bounds, share_name
from models.downstream.scored_images import ScoredImages, scored_images
from models.vocabulary.label_lists import Label


class SharesConfig(BaseModel):
    """How much is trained on, and how sure the answer is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shares: tuple[float, ...] = Field(
        (0.01, 0.1, 1.0),
        min_length=1,
        description="Shares of the training patients, nested: a small one lies in the larger",
    )
    num_resamples: int = Field(
        1000, ge=100, le=100_000, description="Bootstrap resamples of test patients"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of draws, training and resamples")

    @field_validator("shares")
    @classmethod
    def _shares_rise(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if list(shares) != sorted(set(shares)) or not 0 < shares[0] <= shares[-1] <= 1:
            raise ValueError("shares must rise and lie above 0 and at most at 1, as [0.01, 0.1, 1]")
        return shares


class LinearProbeConfig(SharesConfig):
    """Logistic regression on frozen features, one a finding."""

    inverse_regularisations: tuple[Annotated[float, Field(gt=0, le=1e6)], ...] = Field(
        (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
        min_length=1,
        description="Of scikit-learn's C, the one of the highest macro AUROC on validation "
        "patients is taken",
    )


class TrainedConfig(SharesConfig):
    """How a network is trained on each share, and when that ends."""

    steps: int = Field(400, ge=1, le=1_000_000, description="Most optimiser steps, of each share")
    batch_size: int = Field(32, ge=2, le=4096, description="Images per step")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Of AdamW (MGCA: 5e-4)")
    weight_decay: float = Field(1e-6, ge=0, le=1, description="Of AdamW")
    validate_every_steps: int = Field(
        20, ge=1, le=1_000_000, description="Steps between two looks at validation patients"
    )
    patience: int = Field(
        5, ge=1, le=10_000, description="Looks without a better one than the best before it ends"
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: a GPU if there is one"
    )


class FineTuningConfig(TrainedConfig):
    """Training of the whole image tower with a linear head; a look is at the macro AUROC."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A classifier's answer.

    Attributes:
        scores_NF: Of the test images, a column for each finding trained on.
        chosen: What validation patients decided, by name.
    """

    scores_NF: NDArray[np.floating]
    chosen: Mapping[str, float]


# Trains on some images of the training split and some columns of the labels.
Fit = Callable[[NDArray[np.int64], NDArray[np.int64]], Fitted]


@dataclass(frozen=True, slots=True)
class ShareResult:
    """What a share of the labels was worth.

    Attributes:
        share: Of the training patients.
        num_images: Trained on.
        num_patients: Of these images.
        classified: On the test patients.
        chosen: What validation patients decided; empty where nothing could be trained.
        scored: What each test image was given.
    """

    share: float
    num_images: int
    num_patients: int
    classified: Classified
    chosen: Mapping[str, float]
    scored: ScoredImages

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        per_finding = self.classified.per_finding
        return {
            "share": self.share,
            "num_train_images": self.num_images,
            "num_train_patients": self.num_patients,
            "macro_auroc": self.classified.macro_auroc,
            "ci95": bounds(self.classified.interval),
            "chosen": dict(self.chosen),
            "per_finding": {key.value: value.as_dict() for key, value in per_finding.items()},
        }


@dataclass(frozen=True, slots=True)
class FewLabelsResult:
    """A classifier's result at every share.

    Attributes:
        num_images: Tested on.
        num_patients: Groups of the bootstrap.
        shares: In rising order.
        config: How it was trained.
    """

    num_images: int
    num_patients: int
    shares: tuple[ShareResult, ...]
    config: SharesConfig

    @property
    def scored(self) -> tuple[ScoredImages, ...]:
        """What each test image was given, at every share."""
        return tuple(one.scored for one in self.shares)

    def as_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return {
            "num_images": self.num_images,
            "num_patients": self.num_patients,
            "settings": self.config.model_dump(mode="json"),
            "shares": [one.as_dict() for one in self.shares],
        }


def measure_shares(splits: LabelledSplits, config: SharesConfig, fit: Fit) -> FewLabelsResult:
    """Train on nested draws of the training patients, measure each on all test patients.

    Args:
        splits: By patient.
        config: Shares, draws and resamples.
        fit: Trains a classifier, and chooses what is to choose on the validation patients.
    """
    order = draw_order(splits.train, config.seed)
    return FewLabelsResult(
        num_images=len(splits.test.images),
        num_patients=len(set(splits.test.groups)),
        shares=tuple(
            _measure(splits, config, fit, share, drawn_rows(splits.train, order, share))
            for share in config.shares
        ),
        config=config,
    )


def _measure(
    splits: LabelledSplits, config: SharesConfig, fit: Fit, share: float, rows: NDArray[np.int64]
) -> ShareResult:
    unscored = _untrainable(splits, rows)
    findings = splits.test.findings
    columns = np.array([k for k, finding in enumerate(findings) if finding not in unscored], int)
    scores_NF = np.full(splits.test.labels_NF.shape, np.nan)
    chosen: Mapping[str, float] = {}
    if len(columns):
        fitted = fit(rows, columns)
        scores_NF[:, columns], chosen = fitted.scores_NF, fitted.chosen
    classified = classify(
        scores_NF,
        splits.test.labels_NF,
        splits.test.groups,
        findings,
        Resampling(config.num_resamples, config.seed),
        unscored,
    )
    num_patients = len({splits.train.groups[row] for row in rows})
    scored = scored_images(splits.test, scores_NF, share_name(share))
    return ShareResult(share, len(rows), num_patients, classified, chosen, scored)


def _untrainable(splits: LabelledSplits, rows: NDArray[np.int64]) -> dict[Label, str]:
    """Findings that a draw cannot teach, and why: all of them if none could be chosen by."""
    findings, labels_NF = splits.train.findings, splits.train.labels_NF[rows]
    found = {
        finding: f"undefined: no image to train on {lacking}"
        for finding, labels_N in zip(findings, labels_NF.T, strict=True)
        if (lacking := one_class(labels_N))
    }
    of_validation = zip(findings, splits.validation.labels_NF.T, strict=True)
    if any(finding not in found and not one_class(labels_N) for finding, labels_N in of_validation):
        return found
    nothing = "undefined: validation patients have one class only of what was trained on"
    return {finding: found.get(finding, nothing) for finding in findings}
