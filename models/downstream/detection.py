"""Detection: FCOS on the pre-trained image tower, against the same detector from random weights.

Shape suffixes: N images, F findings, B batch, D boxes, T thresholds, R resamples, S image side.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.devices import device_named
from models.downstream.average_precision import (
    COCO_THRESHOLDS,
    MGCA_THRESHOLDS,
    Boxes,
    average_precisions,
    resampled_precisions,
)
from models.downstream.best_weights import train_to_best
from models.downstream.boxed_images import BoxedImages, BoxedSplits
from models.downstream.dense_configs import DetectionConfig
from models.downstream.dense_measures import DetectionMeasure
from models.downstream.dense_results import DenseResult, Measured
from models.downstream.dense_shares import Trained, measure_dense_shares
from models.downstream.detector import (
    build_detector,
    detect,
    from_square,
    known_boxes,
    moved_boxes,
    to_square,
)
from models.downstream.metrics import resample_weights
from models.downstream.stages import stages_of
from models.vlp.images import as_drawn, as_input, draw_views, squares
from models.vlp.model import VisionLanguageModel
from models.vocabulary.findings import Finding


def evaluate_detection(
    model: VisionLanguageModel, splits: BoxedSplits, config: DetectionConfig
) -> DenseResult:
    """Average precision per finding and mAP at every share of the labels.

    Source: Tian et al. 2019 (FCOS) for the detector, Wang et al. 2022 (MGCA) for shares and IoU
    0.40 to 0.75. Images without a detection count here; MGCA's public code leaves them out.

    Args:
        model: Whose image tower is asked; is not changed.
        splits: Train, validation and test by patient.
        config: Findings, shares and training.

    Raises:
        ValueError: If the tower has no stages, a split lacks images with or without the findings,
            the device is not there, or the loss is no number.
    """
    labelled = splits.labelled(config.findings)
    return measure_dense_shares(model, labelled, config, _Detection(model, splits, config))


class _Detection:
    """The three splits at the tower's size, to train on and to measure."""

    def __init__(
        self, model: VisionLanguageModel, splits: BoxedSplits, config: DetectionConfig
    ) -> None:
        self._size_px = model.config.image_tower.image_size_px
        # a box around a turned box is loose, and would be learnt as such
        self._augmentation = model.config.augmentation.model_copy(update={"rotation_degrees": 0.0})
        self._splits = splits
        self._config = config
        self._device = device_named(config.device)
        self._train_N1SS, self._validation_N1SS, self._test_N1SS = (
            squares(boxed.images, self._size_px)
            for boxed in (splits.train, splits.validation, splits.test)
        )

    def train(
        self, tower: nn.Module, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> Trained[list[Boxes]]:
        """Train a detector; finds boxes in the test images, in their own pixels."""
        findings = [self._config.findings[column] for column in columns]
        stages = stages_of(tower, self._size_px, self._config.encoder)
        detector = build_detector(
            stages, self._size_px, self._config.pyramid_width, len(findings)
        ).to(self._device)
        images_N1SS = self._train_N1SS[torch.from_numpy(rows)]
        drawn = self._in_squares(self._splits.train, findings)
        drawn = [drawn[row] for row in rows]
        known = _known(self._splits.validation, findings)
        views = torch.Generator().manual_seed(self._config.seed)

        def batch_loss(batch: Tensor) -> Tensor:
            images_B1SS = as_input(images_N1SS[batch].to(self._device))
            draws = draw_views(len(batch), self._augmentation, views)
            targets = [
                self._target(drawn[number], move_23)
                for number, move_23 in zip(batch.tolist(), draws.moves_B23, strict=True)
            ]
            losses = detector(list(as_drawn(images_B1SS, draws)), targets)
            return torch.stack(list(losses.values())).sum()

        def look() -> float:
            found = self._found(detector, self._validation_N1SS, self._splits.validation)
            return float(average_precisions(found, known, len(findings), MGCA_THRESHOLDS).mean())

        best = train_to_best(detector, batch_loss, look, len(rows), self._config)
        return Trained(
            self._found(detector, self._test_N1SS, self._splits.test),
            {"step": float(best.step), "validation_map_40_75": best.value},
        )

    def measure(
        self, pretrained: list[Boxes], untrained: list[Boxes], columns: NDArray[np.int64]
    ) -> Measured:
        """Average precisions of both towers' detections, and of resampled patients."""
        findings = [self._config.findings[column] for column in columns]
        known = _known(self._splits.test, findings)
        weights_RN = resample_weights(
            self._splits.test.groups, self._config.num_resamples, self._config.seed
        )
        values, resampled = [], []
        for found in (pretrained, untrained):
            for thresholds in (MGCA_THRESHOLDS, COCO_THRESHOLDS):
                values.append(average_precisions(found, known, len(findings), thresholds))
                of_each = [
                    resampled_precisions(found, known, column, thresholds, weights_RN).mean(axis=1)
                    for column in range(len(findings))
                ]
                resampled.append(np.stack(of_each, axis=1))
        own, other = slice(0, 2), slice(2, 4)
        values_MF, resampled_MRF = np.stack(values), np.stack(resampled)
        return Measured(
            measures=tuple(DetectionMeasure),
            values_MF=np.concatenate([values_MF, values_MF[own] - values_MF[other]]),
            resampled_MRF=np.concatenate(
                [resampled_MRF, resampled_MRF[own] - resampled_MRF[other]]
            ),
        )

    def _in_squares(self, boxed: BoxedImages, findings: Sequence[Finding]) -> list[Boxes]:
        return [
            Boxes(
                to_square(known.corners_D4, self._size_px, *image_HW.shape),
                known.columns_D,
                known.scores_D,
            )
            for image_HW, known in zip(boxed.images, _known(boxed, findings), strict=True)
        ]

    def _target(self, known: Boxes, move_23: Tensor) -> dict[str, Tensor]:
        corners_D4, left_D = moved_boxes(
            torch.from_numpy(known.corners_D4).float(), move_23, self._size_px
        )
        labels_D = torch.from_numpy(known.columns_D)
        return {
            "boxes": corners_D4[left_D].to(self._device),
            "labels": labels_D[left_D].to(self._device),
        }

    def _found(self, detector: nn.Module, images_N1SS: Tensor, boxed: BoxedImages) -> list[Boxes]:
        return [
            Boxes(
                from_square(one.corners_D4, self._size_px, *image_HW.shape),
                one.columns_D,
                one.scores_D,
            )
            for image_HW, one in zip(
                boxed.images, detect(detector, images_N1SS, self._device), strict=True
            )
        ]


def _known(boxed: BoxedImages, findings: Sequence[Finding]) -> list[Boxes]:
    return [known_boxes(boxes, findings) for boxes in boxed.boxes]
