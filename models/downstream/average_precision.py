"""Average precision of detections as COCO defines it, also of resampled patients.

The value is that of torchmetrics over pycocotools, the evaluation that COCO publishes. It is no
mean over images, so for intervals it is computed here once more, an image of weight w standing for
w images. An image without detections counts: what it hides is missed. (MGCA's public code skips
such images.)

Shape suffixes: N images, F findings, D detections, H of them right, G boxes, T thresholds,
R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.detection import MeanAveragePrecision

MGCA_THRESHOLDS = (0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75)
COCO_THRESHOLDS = (0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95)
MAX_DETECTIONS = 100  # of a finding in an image, the best; COCO's rule
_WEIGHTS_AT_ONCE = 8_000_000  # of resamples by detections: 64 MB an array, and there are some
RECALLS = np.linspace(0, 1, 101)  # at which COCO reads the precision


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one image: left, top, right, bottom in px, and the finding's column, of each.

    Attributes:
        scores_D: How sure a detector is; 1 for boxes that are known.
    """

    corners_D4: NDArray[np.float64]
    columns_D: NDArray[np.int64]
    scores_D: NDArray[np.float64]

    def of(self, column: int) -> "Boxes":
        """Those of one finding, the surest first, at most `MAX_DETECTIONS`."""
        rows = np.flatnonzero(self.columns_D == column)
        rows = rows[np.argsort(-self.scores_D[rows], kind="stable")][:MAX_DETECTIONS]
        return Boxes(self.corners_D4[rows], self.columns_D[rows], self.scores_D[rows])


def average_precisions(
    found: Sequence[Boxes], known: Sequence[Boxes], num_findings: int, thresholds: Sequence[float]
) -> NDArray[np.float64]:
    """Mean over thresholds of IoU of each finding's average precision, (F,), by pycocotools.

    Args:
        found: Detections in each image.
        known: Boxes in each image; every finding has one somewhere.
        num_findings: F.
        thresholds: IoU from which a detection counts as right.
    """
    metric = MeanAveragePrecision(
        iou_thresholds=list(thresholds), rec_thresholds=RECALLS.tolist(), class_metrics=True
    )
    metric.warn_on_many_detections = False
    metric.update(
        [{**_tensors(boxes), "scores": torch.from_numpy(boxes.scores_D)} for boxes in found],
        [_tensors(boxes) for boxes in known],
    )
    measured = metric.compute()
    columns = np.atleast_1d(measured["classes"].numpy())
    values = np.atleast_1d(measured["map_per_class"].numpy().astype(np.float64))
    by_column = dict(zip(columns.tolist(), values.tolist(), strict=True))
    return np.array([by_column[column] for column in range(num_findings)])


def resampled_precisions(
    found: Sequence[Boxes],
    known: Sequence[Boxes],
    column: int,
    thresholds: Sequence[float],
    weights_RN: NDArray[np.floating],
) -> NDArray[np.float64]:
    """One finding's average precision under many weightings of the images, (R, T).

    NaN where no box has weight. With equal weights the mean over T is `average_precisions`.

    Args:
        found: Detections in each image.
        known: Boxes in each image.
        column: Of the finding.
        thresholds: As there.
        weights_RN: How often each image is counted.
    """
    pairs = [(one.of(column), other.of(column)) for one, other in zip(found, known, strict=True)]
    scores_D = np.concatenate([one.scores_D for one, _ in pairs])
    hits_TD = np.concatenate([hits(*pair, thresholds) for pair in pairs], axis=1)
    image_of_D = np.repeat(np.arange(len(pairs)), [len(one.scores_D) for one, _ in pairs])
    order = np.argsort(-scores_D, kind="stable")
    num_known_N = np.array([len(boxes.scores_D) for _, boxes in pairs])
    at_once = max(1, _WEIGHTS_AT_ONCE // max(1, len(order)))
    precisions_RT = np.empty((len(weights_RN), len(hits_TD)))
    for first in range(0, len(weights_RN), at_once):
        drawn_RN = weights_RN[first : first + at_once].astype(np.float64)
        weights_RD = drawn_RN[:, image_of_D[order]]
        asked_RD, num_known_R = np.cumsum(weights_RD, axis=1), drawn_RN @ num_known_N
        for place, hits_D in enumerate(hits_TD):
            right = np.flatnonzero(hits_D[order])
            precisions_RT[first : first + at_once, place] = _weighted_precision(
                weights_RD[:, right], asked_RD[:, right], num_known_R
            )
    return precisions_RT


def hits(found: Boxes, known: Boxes, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Which detections are right at each threshold, (T, D): COCO's greedy matching.

    The surest detection first takes the box of highest IoU that none has taken.

    Args:
        found: Detections of one finding in one image, the surest first.
        known: Its boxes there.
        thresholds: IoU from which a detection counts as right.
    """
    right_TD = np.zeros((len(thresholds), len(found.scores_D)), bool)
    overlaps_DG = overlaps(found.corners_D4, known.corners_D4)
    for place, threshold in enumerate(thresholds):
        free_G = np.ones(len(known.scores_D), bool)
        for number, overlaps_G in enumerate(overlaps_DG):
            open_G = np.where(free_G, overlaps_G, -1)
            if len(open_G) and open_G.max() >= threshold:
                free_G[open_G.argmax()] = False
                right_TD[place, number] = True
    return right_TD


def overlaps(first_D4: NDArray[np.float64], second_G4: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of every box with every other, (D, G)."""
    low_DG2 = np.maximum(first_D4[:, None, :2], second_G4[None, :, :2])
    high_DG2 = np.minimum(first_D4[:, None, 2:], second_G4[None, :, 2:])
    both_DG: NDArray[np.float64] = (high_DG2 - low_DG2).clip(min=0).prod(axis=2)
    first_D, second_G = (
        (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first_D4, second_G4)
    )
    overlaps_DG: NDArray[np.float64] = both_DG / (first_D[:, None] + second_G[None, :] - both_DG)
    return overlaps_DG


def _weighted_precision(
    weights_RH: NDArray[np.float64], asked_RH: NDArray[np.float64], num_known_R: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average precision, (R,), from the right detections alone, H of them, the surest first.

    A wrong one raises no recall and lowers precision, so that the best precision from some recall
    on is that of a right one.

    Args:
        weights_RH: Of each right detection.
        asked_RH: Of all detections as sure or surer.
        num_known_R: Of the boxes.
    """
    right_RH = np.cumsum(weights_RH, axis=1)
    precision_RH = right_RH / (asked_RH + np.spacing(1))
    best_after_RH = np.maximum.accumulate(precision_RH[:, ::-1], axis=1)[:, ::-1]
    values_R = np.full(len(num_known_R), np.nan)
    for row, num_known in enumerate(num_known_R):
        if num_known > 0:
            places = np.searchsorted(right_RH[row] / num_known, RECALLS, side="left")
            reached = places[places < right_RH.shape[1]]
            values_R[row] = best_after_RH[row, reached].sum() / len(RECALLS)
    return values_R


def _tensors(boxes: Boxes) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.from_numpy(boxes.corners_D4),
        "labels": torch.from_numpy(boxes.columns_D),
    }
