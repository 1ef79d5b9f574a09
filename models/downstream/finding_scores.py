"""AUROC of each finding and their macro mean, with intervals; what is undefined says why.

Shape suffixes: N images, F findings, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.downstream.metrics import (
    CONFIDENCE,
    UNKNOWN,
    Interval,
    auroc,
    bootstrap_aurocs,
    bounds,
    macro_interval,
    percentile_interval,
)
from models.vocabulary.label_lists import Label


class Resampling(NamedTuple):
    """How patients are drawn again for an interval."""

    num_resamples: int
    seed: int


@dataclass(frozen=True, slots=True)
class FindingScore:
    """One finding's result.

    Attributes:
        auroc: None where it is undefined; `reason` then says why.
        interval: 95 % over patients.
        num_positives: Images labelled present.
        num_negatives: Images labelled absent.
    """

    auroc: float | None
    interval: Interval | None
    num_positives: int
    num_negatives: int
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "auroc": self.auroc,
            "ci95": bounds(self.interval),
            "positives": self.num_positives,
            "negatives": self.num_negatives,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Classified:
    """How well a set's findings were told apart.

    Attributes:
        macro_auroc: Mean over the findings that are defined; None if none is.
        interval: 95 % over patients, of the macro mean.
        per_finding: Every finding, undefined ones included.
    """

    macro_auroc: float | None
    interval: Interval | None
    per_finding: dict[Label, FindingScore]


def classify(
    scores_NF: NDArray[np.floating],
    labels_NF: NDArray[np.int8],
    groups: Sequence[str],
    findings: Sequence[Label],
    resampling: Resampling,
    unscored: Mapping[Label, str] = MappingProxyType({}),
) -> Classified:
    """AUROC per finding and their macro mean, with bootstrap intervals over patients.

    Args:
        scores_NF: Higher means more likely present.
        labels_NF: 1 present, 0 absent, -1 unknown (left out).
        groups: Patient of each image.
        findings: Columns of both.
        resampling: Of patients.
        unscored: Findings that have no scores, and why; their columns are not looked at.
    """
    resampled_RF = bootstrap_aurocs(scores_NF, labels_NF, groups, *resampling)
    per_finding = {
        finding: _finding_score(
            scores_NF[:, column],
            labels_NF[:, column],
            resampled_RF[:, column],
            unscored.get(finding),
        )
        for column, finding in enumerate(findings)
    }
    values = [score.auroc for score in per_finding.values()]
    defined = [column for column, value in enumerate(values) if value is not None]
    return Classified(
        macro_auroc=float(np.mean([v for v in values if v is not None])) if defined else None,
        interval=macro_interval(resampled_RF[:, defined], CONFIDENCE),
        per_finding=per_finding,
    )


def macro_auroc(scores_NF: NDArray[np.floating], labels_NF: NDArray[np.int8]) -> float | None:
    """Mean over the findings that have scores and both classes; None if there is none."""
    values = []
    for scores_N, labels_N in zip(scores_NF.T, labels_NF.T, strict=True):
        known = (labels_N != UNKNOWN) & np.isfinite(scores_N)
        values.append(auroc(scores_N[known], labels_N[known] == 1))
    defined = [value for value in values if np.isfinite(value)]
    return float(np.mean(defined)) if defined else None


def one_class(labels_N: NDArray[np.int8]) -> str | None:
    """What labels lack to tell a finding's two classes apart; None if they have both."""
    lacking = [word for word, label in (("present", 1), ("absent", 0)) if label not in labels_N]
    return f"is labelled {lacking[0]}" if lacking else None


def _finding_score(
    scores_N: NDArray[np.floating],
    labels_N: NDArray[np.int8],
    resampled_R: NDArray[np.float64],
    unscored: str | None,
) -> FindingScore:
    known = labels_N != UNKNOWN
    positive_N = labels_N[known] == 1
    positives, negatives = int(positive_N.sum()), int((~positive_N).sum())
    lacking = one_class(labels_N)
    reason = f"undefined: no image {lacking}" if lacking else unscored
    if reason:
        return FindingScore(None, None, positives, negatives, reason)
    interval = percentile_interval(resampled_R, CONFIDENCE)
    return FindingScore(auroc(scores_N[known], positive_N), interval, positives, negatives)
