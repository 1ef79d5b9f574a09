"""What segmentation and detection found, at every share of the labels.

Shape suffixes: M measures, F findings, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.downstream.dense_configs import DenseConfig
from models.downstream.metrics import (
    CONFIDENCE,
    Figure,
    drawn_figure,
    macro_draws,
    metric_name,
    percentile_interval,
    share_name,
)
from models.vocabulary.findings import Finding

Figures = Mapping[str, Figure]  # by measure


@dataclass(frozen=True, slots=True)
class FindingFigures:
    """One finding's result; without figures where it is undefined, `reason` then says why."""

    num_test_images: int
    figures: Figures
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        head = {"num_test_images": self.num_test_images, "reason": self.reason}
        return head | _as_dict(self.figures)


@dataclass(frozen=True, slots=True)
class DenseShare:
    """What a share of the labels was worth.

    Attributes:
        share: Of the training patients.
        num_images: Trained on.
        num_patients: Of these images.
        macro: Mean over the findings that are defined; empty if none is.
        per_finding: Every finding asked for, undefined ones included.
        chosen: What validation images decided, of the pre-trained tower and of the untrained.
    """

    share: float
    num_images: int
    num_patients: int
    macro: Figures
    per_finding: Mapping[Finding, FindingFigures]
    chosen: Mapping[str, Mapping[str, float]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "share": self.share,
            "num_train_images": self.num_images,
            "num_train_patients": self.num_patients,
            "macro": _as_dict(self.macro),
            "chosen": {tower: dict(values) for tower, values in self.chosen.items()},
            "per_finding": {key.value: one.as_dict() for key, one in self.per_finding.items()},
        }


@dataclass(frozen=True, slots=True)
class DenseResult:
    """The result at every share.

    Attributes:
        num_images: Tested on.
        num_patients: Groups of the bootstrap.
        shares: In rising order.
        config: How it was trained.
    """

    num_images: int
    num_patients: int
    shares: tuple[DenseShare, ...]
    config: DenseConfig

    def figures(self) -> dict[str, Figure]:
        """What a study compares, by its name there."""
        return {
            metric_name(share_name(one.share), measure): figure
            for one in self.shares
            for measure, figure in one.macro.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return {
            "num_images": self.num_images,
            "num_patients": self.num_patients,
            "settings": self.config.model_dump(mode="json"),
            "shares": [one.as_dict() for one in self.shares],
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """Every measure of every finding; a column of NaN where one is undefined."""

    measures: Sequence[str]
    values_MF: NDArray[np.float64]
    resampled_MRF: NDArray[np.float64]

    def per_finding(self, column: int) -> dict[str, Figure]:
        """One finding's figures; none if it is undefined."""
        return {
            measure: Figure(float(value), percentile_interval(resampled_R, CONFIDENCE))
            for measure, value, resampled_R in zip(
                self.measures,
                self.values_MF[:, column],
                self.resampled_MRF[:, :, column],
                strict=True,
            )
            if np.isfinite(value)
        }

    def macro(self) -> dict[str, Figure]:
        """Mean over the findings that are defined; empty if none is."""
        return {
            measure: drawn_figure(float(np.nanmean(values_F)), macro_draws(resampled_RF))
            for measure, values_F, resampled_RF in zip(
                self.measures, self.values_MF, self.resampled_MRF, strict=True
            )
            if np.isfinite(values_F).any()
        }


def _as_dict(figures: Figures) -> dict[str, Any]:
    return {str(measure): figure.as_dict() for measure, figure in figures.items()}
