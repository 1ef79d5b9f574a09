"""Images with a rectangle around each finding: what detection is trained and measured on.

Shape suffixes: N images, F findings, H and W an image's sides in px.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.downstream.labelled_images import LabelledImages
from models.downstream.labelled_splits import LabelledSplits
from models.downstream.masked_images import MaskedImages
from models.downstream.masked_splits import labelled_as_shown
from models.vocabulary.findings import Finding

LEAST_PIECE = 0.1  # of the finding's largest piece in the image; smaller ones are its crumbs


@dataclass(frozen=True, slots=True)
class FindingBox:
    """A rectangle in px of its image, origin at the top left corner, right and bottom outside."""

    finding: Finding
    left_px: float
    top_px: float
    right_px: float
    bottom_px: float


@dataclass(frozen=True)
class BoxedImages:
    """A named set of images whose findings are framed.

    Attributes:
        name: What results call it.
        images: Grey images, each uint8 (height, width), of any sizes.
        boxes: Of each image all that it shows of any finding that is asked for.
        groups: Patient of each image; the bootstrap draws patients.
    """

    name: str
    images: Sequence[NDArray[np.uint8]]
    boxes: Sequence[Sequence[FindingBox]]
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.boxes) == len(self.groups):
            raise ValueError(
                f"{self.name!r} must have boxes and a group for each of {len(self.images)} images, "
                f"got {len(self.boxes)} and {len(self.groups)}"
            )
        for number, boxes in enumerate(self.boxes):
            for box in boxes:
                if box.right_px <= box.left_px or box.bottom_px <= box.top_px:
                    raise ValueError(
                        f"boxes of {self.name!r} must be wide and high, got {box} in image {number}"
                    )


@dataclass(frozen=True)
class BoxedSplits:
    """What a detector is trained, chosen and measured on; no patient is in two of them."""

    train: BoxedImages
    validation: BoxedImages
    test: BoxedImages

    def labelled(self, findings: tuple[Finding, ...]) -> LabelledSplits:
        """Which image shows which finding.

        Raises:
            ValueError: If two splits share a patient, or one lacks images with or without.
        """
        return LabelledSplits(
            *(_labelled(boxed, findings) for boxed in (self.train, self.validation, self.test))
        )


def boxed(masked: MaskedImages) -> BoxedImages:
    """The same images with a box around each connected piece of each mask."""
    boxes = [_boxes_of(masks) for masks in masked.masks]
    return BoxedImages(masked.name, masked.images, boxes, masked.groups)


def filled(
    boxes: Sequence[FindingBox], height: int, width: int
) -> dict[Finding, NDArray[np.bool_]]:
    """A mask of every finding that is framed: the pixels whose centres its boxes hold.

    A box that holds no centre is given the pixel that it begins in; what lies outside the image
    is cut off.

    Args:
        boxes: Of one image.
        height: Of the image, px.
        width: Of the image, px.
    """
    masks: dict[Finding, NDArray[np.bool_]] = {}
    for box in boxes:
        mask_HW = masks.setdefault(box.finding, np.zeros((height, width), bool))
        rows = _held(box.top_px, box.bottom_px, height)
        mask_HW[rows, _held(box.left_px, box.right_px, width)] = True
    return masks


def _held(start_px: float, end_px: float, size_px: int) -> slice:
    """Pixels whose centres lie from start to end; the one of the start where there is none."""
    start, end = max(start_px, 0.0), min(end_px, float(size_px))
    if end <= start:
        return slice(0)
    first, last = math.ceil(start - 0.5), math.ceil(end - 0.5)
    return slice(first, last) if first < last else slice(math.floor(start), math.floor(start) + 1)


def _boxes_of(masks: Mapping[Finding, NDArray[np.bool_]]) -> list[FindingBox]:
    found = []
    for finding, mask_HW in masks.items():
        pieces_HW, num_pieces = ndimage.label(mask_HW)
        areas = np.bincount(pieces_HW.ravel(), minlength=num_pieces + 1)[1:]
        for area, place in zip(areas, ndimage.find_objects(pieces_HW), strict=True):
            if area >= LEAST_PIECE * areas.max():
                rows, columns = place
                found.append(
                    FindingBox(finding, columns.start, rows.start, columns.stop, rows.stop)
                )
    return found


def _labelled(boxed: BoxedImages, findings: tuple[Finding, ...]) -> LabelledImages:
    shown = [{box.finding for box in boxes} for boxes in boxed.boxes]
    return labelled_as_shown(boxed.name, boxed.images, shown, boxed.groups, findings)
