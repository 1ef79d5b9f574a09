"""FCOS on a pyramid of an image tower's maps, and the way of boxes to it and back.

Shape suffixes: B batch, D boxes, S image side.
"""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork

from models.downstream.average_precision import MAX_DETECTIONS, Boxes
from models.downstream.boxed_images import FindingBox
from models.downstream.stages import Stages
from models.vlp.images import as_input
from models.vlp.model import evaluating
from models.vocabulary.findings import Finding

FINEST_STRIDE = 8  # of the pyramid, px, as that of FCOS; finer where an image is small
LEAST_POSITIONS = 16  # a side, of the finest map
LEAST_SCORE = 0.05  # of a detection that is kept
LEAST_SIDE_PX = 1.0  # of what is left of a box in a view
SCORE_BATCH = 32


class Pyramid(nn.Module):
    """A tower's coarser maps, brought to one width from the top down (Lin et al. 2017).

    Attributes:
        out_channels: Of each map; FCOS asks for it.
        strides: Image pixels between neighbours of each map.
    """

    def __init__(self, stages: Stages, image_size_px: int, width: int) -> None:
        super().__init__()
        finest = min(FINEST_STRIDE, image_size_px // LEAST_POSITIONS)
        self._taken = [k for k, stride in enumerate(stages.strides) if stride >= finest]
        self.strides = [stages.strides[k] for k in self._taken]
        self.out_channels = width
        self.stages = stages
        self.pyramid = FeaturePyramidNetwork([stages.channels[k] for k in self._taken], width)

    def forward(self, images_B1SS: Tensor) -> dict[str, Tensor]:
        """Maps of images in -1..1, the finest first."""
        maps = self.stages(images_B1SS)
        pyramid: dict[str, Tensor] = self.pyramid(
            OrderedDict((str(place), maps[k]) for place, k in enumerate(self._taken))
        )
        return pyramid


def build_detector(stages: Stages, image_size_px: int, width: int, num_findings: int) -> FCOS:
    """A detector for images in -1..1 of one size.

    Args:
        stages: Of the image tower.
        image_size_px: Side of the images.
        width: Channels of the pyramid and of the heads.
        num_findings: Kinds of boxes.
    """
    pyramid = Pyramid(stages, image_size_px, width)
    return FCOS(
        pyramid,
        num_classes=num_findings,
        min_size=image_size_px,
        max_size=image_size_px,
        size_divisible=1,
        image_mean=[0.0],
        image_std=[1.0],
        anchor_generator=AnchorGenerator(
            tuple((stride,) for stride in pyramid.strides), ((1.0,),) * len(pyramid.strides)
        ),
        score_thresh=LEAST_SCORE,
        detections_per_img=MAX_DETECTIONS,
    )


def detect(detector: FCOS, images_N1SS: Tensor, device: torch.device) -> list[Boxes]:
    """Boxes in uint8 images at the tower's size, in evaluation mode, in order."""
    found: list[Boxes] = []
    with evaluating(detector):
        for batch_B1SS in torch.split(images_N1SS, SCORE_BATCH):
            for one in detector(list(as_input(batch_B1SS.to(device)))):
                found.append(
                    Boxes(
                        one["boxes"].cpu().numpy().astype(np.float64),
                        one["labels"].cpu().numpy(),
                        one["scores"].cpu().numpy().astype(np.float64),
                    )
                )
    return found


def known_boxes(boxes: Sequence[FindingBox], findings: Sequence[Finding]) -> Boxes:
    """An image's own boxes of some findings."""
    chosen = [box for box in boxes if box.finding in findings]
    corners = [[box.left_px, box.top_px, box.right_px, box.bottom_px] for box in chosen]
    return Boxes(
        np.array(corners, np.float64).reshape(len(chosen), 4),
        np.array([findings.index(box.finding) for box in chosen], np.int64),
        np.ones(len(chosen)),
    )


def to_square(
    corners_D4: NDArray[np.float64], size_px: int, height: int, width: int
) -> NDArray[np.float64]:
    """Corners in an image's px to those in its square, `models.vlp.images.fit_square`."""
    scale_4, start_4 = _fit(size_px, height, width)
    return corners_D4 * scale_4 + start_4


def from_square(
    corners_D4: NDArray[np.float64], size_px: int, height: int, width: int
) -> NDArray[np.float64]:
    """Inverse of `to_square`, cut off at the image's edges."""
    scale_4, start_4 = _fit(size_px, height, width)
    edges_4 = np.array([width, height, width, height])
    return ((corners_D4 - start_4) / scale_4).clip(0, edges_4)


def _fit(size_px: int, height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scale = size_px / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    scale_4 = np.array([new_width / width, new_height / height] * 2)
    start_4 = np.array([(size_px - new_width) // 2, (size_px - new_height) // 2] * 2, np.float64)
    return scale_4, start_4


def moved_boxes(corners_D4: Tensor, move_23: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
    """Corners in the view that `models.vlp.images.moved` makes, and which boxes are left in it.

    Args:
        corners_D4: In px of the square; the boxes stay tight where the view is not turned.
        move_23: Of `ViewDraws.moves_B23`, one image's.
        size_px: Of the square.
    """
    left_D, top_D, right_D, bottom_D = (corners_D4 * 2 / size_px - 1).unbind(1)
    all_D42 = torch.stack(
        [
            torch.stack([x_D, y_D], dim=1)
            for x_D, y_D in ((left_D, top_D), (right_D, top_D), (left_D, bottom_D))
        ]
        + [torch.stack([right_D, bottom_D], dim=1)],
        dim=1,
    )
    seen_D42 = (all_D42 - move_23[:, 2]) @ torch.linalg.inv(move_23[:, :2]).T
    px_D42 = ((seen_D42 + 1) * size_px / 2).clamp(0, size_px)
    moved_D4 = torch.cat([px_D42.amin(dim=1), px_D42.amax(dim=1)], dim=1)
    return moved_D4, ((moved_D4[:, 2:] - moved_D4[:, :2]) >= LEAST_SIDE_PX).all(dim=1)
