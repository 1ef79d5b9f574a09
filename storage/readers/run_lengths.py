"""Masks as run lengths, in the one form that corpora store: COCO's uncompressed counts.

Pixels are counted down each column, column after column from the left: first those outside, up to
the mask's first pixel (0 if that is the image's first), then those inside, then outside again.
pycocotools reads them as `{"size": [height, width], "counts": [...]}`.

Shape suffixes: H and W an image's sides in px, R runs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Extent(NamedTuple):
    """The smallest rectangle around a mask, in px of its image."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


def read_offsets(runs: str, height_px: int, width_px: int) -> tuple[int, ...]:
    """The counts of a mask that is written as pairs of numbers, column by column.

    Args:
        runs: Pixels from the end of the last run to this one, and its length, for every run.
        height_px: Of the mask.
        width_px: Of the mask.

    Raises:
        ValueError: If it is not such pairs, or a run reaches past the mask.
    """
    numbers = [int(word) for word in runs.split()]
    if not numbers or len(numbers) % 2 or min(numbers[::2]) < 0 or min(numbers[1::2]) < 1:
        raise ValueError(f"expected pairs of offset and length, got {len(numbers)} numbers")
    left = height_px * width_px - sum(numbers)
    if left < 0:
        raise ValueError(f"expected runs within {width_px} x {height_px} px, got {-left} px beyond")
    return (*numbers, left) if left else tuple(numbers)


def mask_pixels(counts: Sequence[int], height_px: int, width_px: int) -> NDArray[np.bool_]:
    """The mask of some counts, (H, W).

    Raises:
        ValueError: If they do not add to its pixels.
    """
    if sum(counts) != height_px * width_px:
        raise ValueError(
            f"expected run lengths of {width_px} x {height_px} px, got those of {sum(counts)} px"
        )
    inside_R = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside_R, counts).reshape(width_px, height_px).T


def extent(counts: Sequence[int], height_px: int) -> Extent:
    """Where a mask of at least one pixel lies.

    Args:
        counts: Of the mask.
        height_px: Of the mask.
    """
    ends_R = np.cumsum(counts)
    firsts_R, lasts_R = ends_R[:-1:2], ends_R[1::2] - 1
    columns_R2 = np.stack([firsts_R, lasts_R], axis=-1) // height_px
    rows_R2 = np.stack([firsts_R, lasts_R], axis=-1) % height_px
    rows_R2[columns_R2[:, 0] < columns_R2[:, 1]] = 0, height_px - 1  # on into the next column
    left, top = int(columns_R2.min()), int(rows_R2.min())
    return Extent(left, top, int(columns_R2.max()) - left + 1, int(rows_R2.max()) - top + 1)
