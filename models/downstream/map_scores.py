"""How well a map points at a mask: pointing game, IoU and Dice, and the threshold for them.

Shape suffixes: H and W an image's sides in px, T thresholds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NUM_THRESHOLDS = 200  # steps between the lowest and the highest value of the maps chosen on


class Overlap(NamedTuple):
    """Of the pixels at or above each threshold with a mask, each 0..1, (T,)."""

    iou_T: NDArray[np.float64]
    dice_T: NDArray[np.float64]


def on_image(map_HW: NDArray[np.floating], height: int, width: int) -> NDArray[np.float32]:
    """The map of an image's padded square, brought to the image's own pixels, bilinear.

    Inverse of the geometry of `models.vlp.images.fit_square`.

    Args:
        map_HW: Of the square, top row first.
        height: Of the image, px.
        width: Of the image, px.
    """
    side = max(height, width)
    square = resized(map_HW, side, side)
    top, left = (side - height) // 2, (side - width) // 2
    return square[top : top + height, left : left + width]


def resized(
    map_HW: NDArray[np.floating] | NDArray[np.bool_], height: int, width: int
) -> NDArray[np.float32]:
    """The map at another size, bilinear."""
    image = Image.fromarray(map_HW.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def pointing_game(map_HW: NDArray[np.floating], mask_HW: NDArray[np.bool_]) -> float:
    """1 if the map's maximum lies in the mask, else 0; of several maxima, the share inside.

    The mask is not widened: the source grants 15 px, which on small images is a finding's width.

    Source: Zhang et al. 2018 (Top-down neural attention by excitation backprop), section 4.1.
    """
    return float(mask_HW[map_HW == map_HW.max()].mean())


def overlap(
    map_HW: NDArray[np.floating], mask_HW: NDArray[np.bool_], thresholds_T: NDArray[np.floating]
) -> Overlap:
    """IoU and Dice at many thresholds at once; both are 1 where mask and choice are empty.

    Args:
        map_HW: Of the mask's size.
        mask_HW: May be empty.
        thresholds_T: Ascending; a pixel counts from its threshold on.
    """
    passed_HW = np.searchsorted(thresholds_T, map_HW, side="right")  # thresholds a pixel reaches
    chosen_T = _reaching(passed_HW, len(thresholds_T))
    both_T = _reaching(passed_HW[mask_HW], len(thresholds_T))
    either_T = chosen_T + mask_HW.sum() - both_T
    iou_T = np.divide(both_T, either_T, out=np.ones(len(thresholds_T)), where=either_T > 0)
    return Overlap(iou_T, 2 * iou_T / (1 + iou_T))


def _reaching(passed: NDArray[np.integer], num_thresholds: int) -> NDArray[np.int64]:
    """How many pixels reach each threshold, (T,)."""
    counts = np.bincount(passed.ravel(), minlength=num_thresholds + 1)
    reaching_T: NDArray[np.int64] = counts[::-1].cumsum()[::-1][1:]
    return reaching_T


def best_threshold(
    maps: Sequence[NDArray[np.floating]], masks: Sequence[NDArray[np.bool_]]
) -> float:
    """The threshold of the highest mean Dice, the lowest of equals.

    Args:
        maps: Of validation images; at least one.
        masks: Of the same.
    """
    low, high = min(one.min() for one in maps), max(one.max() for one in maps)
    thresholds_T = np.linspace(low, high, NUM_THRESHOLDS)
    dices = [overlap(*one, thresholds_T).dice_T for one in zip(maps, masks, strict=True)]
    return float(thresholds_T[np.mean(dices, axis=0).argmax()])
