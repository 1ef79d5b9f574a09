"""Images with the place of each finding, pixel by pixel: what grounding is measured on.

Shape suffixes: N images, H and W an image's sides in px.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.downstream.map_scores import resized
from models.vocabulary.findings import Finding

HALF = 0.5  # of a pixel: what a mask at another size covers by half is in it


class MaskOrigin(StrEnum):
    """Where the masks of a set come from."""

    PAINTED = "painted"  # by the painter of the images: exact
    DRAWN = "drawn"  # by the annotators of a corpus
    FILLED_BOXES = "filled_boxes"  # a corpus's boxes, filled: looser than the findings in them


@dataclass(frozen=True)
class MaskedImages:
    """A named set of images whose findings are known pixel by pixel.

    Attributes:
        name: What results call it.
        images: Grey images, each uint8 (height, width), of any sizes.
        masks: Of each image the mask of every finding present, of the image's size. A mask may be
            empty: the finding lies outside the picture.
        groups: Patient of each image; the bootstrap draws patients.
        origin: Where the masks come from; results say it.
    """

    name: str
    images: Sequence[NDArray[np.uint8]]
    masks: Sequence[Mapping[Finding, NDArray[np.bool_]]]
    groups: tuple[str, ...]
    origin: MaskOrigin = MaskOrigin.PAINTED

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.masks) == len(self.groups):
            raise ValueError(
                f"{self.name!r} must have masks and a group for each of {len(self.images)} images, "
                f"got {len(self.masks)} and {len(self.groups)}"
            )
        for number, (image_HW, masks) in enumerate(zip(self.images, self.masks, strict=True)):
            for finding, mask_HW in masks.items():
                if mask_HW.shape != image_HW.shape:
                    raise ValueError(
                        f"masks of {self.name!r} must be of their image's size {image_HW.shape}, "
                        f"got {mask_HW.shape} for {finding} of image {number}"
                    )

    def showing(
        self, finding: Finding
    ) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.bool_]]]:
        """Number, image and mask of every image in which the finding can be seen."""
        for number, (image_HW, masks) in enumerate(zip(self.images, self.masks, strict=True)):
            if finding in masks and masks[finding].any():
                yield number, image_HW, masks[finding]


def fitted_mask(mask_HW: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """A mask at another size: the pixels that it covers by half.

    One that is thinner than that everywhere keeps those that it covers most, so that no finding
    that is seen is lost by shrinking.

    Args:
        mask_HW: May be empty, and stays so.
        height: Wanted, px.
        width: Wanted, px.
    """
    covered_HW = resized(mask_HW, height, width)
    return (covered_HW > 0) & (covered_HW >= min(HALF, float(covered_HW.max())))
