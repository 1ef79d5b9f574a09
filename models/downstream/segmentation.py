"""Segmentation: a U-Net on the pre-trained image tower, against the same net from random weights.

Shape suffixes: N images, F findings, M measures, B batch, S image side, H and W an image's own.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.losses import MULTILABEL_MODE, DiceLoss, FocalLoss
from torch import Tensor, nn

from models.devices import device_named
from models.downstream.best_weights import train_to_best
from models.downstream.dense_configs import SegmentationConfig
from models.downstream.dense_measures import SegmentationMeasure
from models.downstream.dense_results import DenseResult, Measured
from models.downstream.dense_shares import Trained, measure_dense_shares
from models.downstream.map_scores import best_threshold, on_image, overlap
from models.downstream.masked_images import MaskedImages
from models.downstream.masked_splits import MaskedSplits, own_masks
from models.downstream.metrics import resample_weights, resampled_means
from models.downstream.stages import Stages, stages_of
from models.vlp.images import as_drawn, as_input, draw_views, fit_square, moved, squares
from models.vlp.model import VisionLanguageModel, evaluating
from models.vocabulary.findings import Finding

FOCAL_WEIGHT = 10.0  # beside Dice, as in MGCA's public code
HALF = 128  # of 0..255: a shrunk mask holds the pixels that it covers by half
SCORE_BATCH = 64


class SegmentationNet(nn.Module):
    """A U-Net: a tower's maps, the decoder of segmentation-models-pytorch, one logit a finding."""

    def __init__(self, stages: Stages, num_findings: int, decoder_width: int) -> None:
        super().__init__()
        self.stages = stages
        num_maps = len(stages.channels)
        widths = [decoder_width * 2**k for k in reversed(range(num_maps))]
        self.decoder = UnetDecoder((1, *stages.channels), widths, num_maps)
        initialize_decoder(self.decoder)
        self.head = nn.Conv2d(widths[-1], num_findings, 3, padding=1)

    def forward(self, images_B1SS: Tensor) -> Tensor:
        """Logits of every pixel of images in -1..1, (B, F, S, S)."""
        logits_BFSS: Tensor = self.head(self.decoder([images_B1SS, *self.stages(images_B1SS)]))
        return logits_BFSS


def evaluate_segmentation(
    model: VisionLanguageModel, splits: MaskedSplits, config: SegmentationConfig
) -> DenseResult:
    """Dice and IoU per finding and their macro mean at every share of the labels.

    Source: Wang et al. 2022 (MGCA), section 4.2, for network, loss and choice of weights; its
    threshold of 0.5 is chosen on validation images here.

    Args:
        model: Whose image tower is asked; is not changed.
        splits: Train, validation and test by patient.
        config: Findings, shares and training.

    Raises:
        ValueError: If the tower has no stages, a split lacks images with or without the findings,
            the device is not there, or the loss is no number.
    """
    labelled = splits.labelled(config.findings)
    return measure_dense_shares(model, labelled, config, _Segmentation(model, splits, config))


class _Segmentation:
    """The three splits at the tower's size, to train on and to measure."""

    def __init__(
        self, model: VisionLanguageModel, splits: MaskedSplits, config: SegmentationConfig
    ) -> None:
        self._size_px = model.config.image_tower.image_size_px
        self._augmentation = model.config.augmentation
        self._splits = splits
        self._config = config
        self._device = device_named(config.device)
        self._train_N1SS, self._validation_N1SS, self._test_N1SS = (
            squares(masked.images, self._size_px)
            for masked in (splits.train, splits.validation, splits.test)
        )
        self._train_NFSS, self._validation_NFSS = (
            mask_squares(masked, config.findings, self._size_px)
            for masked in (splits.train, splits.validation)
        )

    def train(
        self, tower: nn.Module, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> Trained[NDArray[np.float64]]:
        """Train a U-Net; finds Dice, IoU and Dice where shown of each test image, (3, N, F)."""
        stages = stages_of(tower, self._size_px, self._config.encoder)
        net = SegmentationNet(stages, len(columns), self._config.decoder_width).to(self._device)
        images_N1SS = self._train_N1SS[torch.from_numpy(rows)]
        masks_NFSS = self._train_NFSS[np.ix_(rows, columns)]
        known_NFSS = self._validation_NFSS[:, columns]
        views = torch.Generator().manual_seed(self._config.seed)

        def batch_loss(batch: Tensor) -> Tensor:
            images_B1SS = as_input(images_N1SS[batch].to(self._device))
            masks_BFSS = torch.from_numpy(masks_NFSS[batch.numpy()]).to(self._device)
            draws = draw_views(len(batch), self._augmentation, views)
            masks_BFSS = moved(masks_BFSS.float() * 2 - 1, draws.moves_B23) >= 0
            return segmentation_loss(net(as_drawn(images_B1SS, draws)), masks_BFSS)

        def look() -> float:
            logits_NFSS = logits(net, self._validation_N1SS)
            return -segmentation_loss(logits_NFSS, torch.from_numpy(known_NFSS)).item()

        best = train_to_best(net, batch_loss, look, len(rows), self._config)
        chosen = {"step": float(best.step), "validation_loss": -best.value}
        return self._scored(net, [self._config.findings[column] for column in columns], chosen)

    def _scored(
        self, net: SegmentationNet, findings: Sequence[Finding], chosen: dict[str, float]
    ) -> Trained[NDArray[np.float64]]:
        validation_NFSS, test_NFSS = (
            logits(net, images_N1SS).sigmoid().numpy()
            for images_N1SS in (self._validation_N1SS, self._test_N1SS)
        )
        validation, test = self._splits.validation, self._splits.test
        scores_MNF = np.empty((3, len(test.images), len(findings)))
        for column, finding in enumerate(findings):
            threshold = best_threshold(
                own_maps(validation, validation_NFSS[:, column]), own_masks(validation, finding)
            )
            chosen[f"{finding}_threshold"] = threshold
            maps = own_maps(test, test_NFSS[:, column])
            for row, mask_HW in enumerate(own_masks(test, finding)):
                found = overlap(maps[row], mask_HW, np.array([threshold]))
                dice, iou = found.dice_T[0], found.iou_T[0]
                scores_MNF[:, row, column] = dice, iou, dice if mask_HW.any() else np.nan
        return Trained(scores_MNF, chosen)

    def measure(
        self,
        pretrained: NDArray[np.float64],
        untrained: NDArray[np.float64],
        columns: NDArray[np.int64],
    ) -> Measured:
        """Means over test images, and over those of resampled patients."""
        gains_MNF = (pretrained - untrained)[[0, 2]]
        scores_MNF = np.concatenate([pretrained, untrained, gains_MNF])
        weights_RN = resample_weights(
            self._splits.test.groups, self._config.num_resamples, self._config.seed
        )
        return Measured(
            measures=tuple(SegmentationMeasure),
            values_MF=np.nanmean(scores_MNF, axis=1),
            resampled_MRF=np.stack([resampled_means(one_NF, weights_RN) for one_NF in scores_MNF]),
        )


def segmentation_loss(logits_BFSS: Tensor, masks_BFSS: Tensor) -> Tensor:
    """Ten times the focal loss, and one less the soft Dice of each finding over the batch.

    A finding that no image of the batch shows has no Dice term; the focal loss teaches it alone.

    Args:
        logits_BFSS: Of every pixel.
        masks_BFSS: True where the finding is.
    """
    focal, dice = FocalLoss(MULTILABEL_MODE), DiceLoss(MULTILABEL_MODE)
    masks_BFSS = masks_BFSS.to(logits_BFSS.dtype)
    loss: Tensor = FOCAL_WEIGHT * focal(logits_BFSS, masks_BFSS) + dice(logits_BFSS, masks_BFSS)
    return loss


def logits(net: SegmentationNet, images_N1SS: Tensor) -> Tensor:
    """Logits of uint8 images in evaluation mode, (N, F, S, S), in order, on the CPU."""
    device = net.head.weight.device
    with evaluating(net):
        batches = torch.split(images_N1SS, SCORE_BATCH)
        return torch.cat([net(as_input(batch_B1SS.to(device))).cpu() for batch_B1SS in batches])


def mask_squares(
    masked: MaskedImages, findings: Sequence[Finding], size_px: int
) -> NDArray[np.bool_]:
    """Masks at a tower's size, in the geometry of the images, empty where absent, (N, F, S, S).

    Args:
        masked: Images and masks of any sizes.
        findings: Which, in this order.
        size_px: S.
    """
    squares_NFSS = np.zeros((len(masked.images), len(findings), size_px, size_px), bool)
    for row, masks in enumerate(masked.masks):
        for column, finding in enumerate(findings):
            if finding in masks:
                grey_HW = masks[finding].astype(np.uint8) * 255
                squares_NFSS[row, column] = fit_square(grey_HW, size_px) >= HALF
    return squares_NFSS


def own_maps(masked: MaskedImages, maps_NSS: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Maps of the padded squares, each brought to its image's own size."""
    return [
        on_image(map_SS, *image_HW.shape)
        for image_HW, map_SS in zip(masked.images, maps_NSS, strict=True)
    ]
