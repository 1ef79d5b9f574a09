"""Images with the exact place of each finding: what grounding is measured on.

Shape suffixes: N images, H and W an image's sides in px.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vocabulary.findings import Finding


@dataclass(frozen=True)
class MaskedImages:
    """A named set of images whose findings are known pixel by pixel.

    Attributes:
        name: What results call it.
        images: Grey images, each uint8 (height, width), of any sizes.
        masks: Of each image the mask of every finding present, of the image's size. A mask may be
            empty: the finding lies outside the picture.
        groups: Patient of each image; the bootstrap draws patients.
    """

    name: str
    images: Sequence[NDArray[np.uint8]]
    masks: Sequence[Mapping[Finding, NDArray[np.bool_]]]
    groups: tuple[str, ...]

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
