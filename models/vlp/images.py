"""From stored PNG to what the tower sees, and random views of it.

Shape suffixes: N images, B batch, S image side, K blur kernel side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional

from models.images import decode_png
from models.vlp.configs import AugmentationConfig
from storage.errors import DamagedObject


def training_image(png: bytes, size_px: int, name: str) -> NDArray[np.uint8]:
    """A stored image at training size, uint8 (S, S).

    Args:
        png: Encoded grey image.
        size_px: Side of the square wanted.
        name: What to call the image in an error.

    Raises:
        DamagedObject: If the bytes are no image.
    """
    try:
        return fit_square(decode_png(png), size_px)
    except ValueError as error:
        raise DamagedObject(f"image of {name}: {error}; make the release again") from error


def fit_square(pixels_HW: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Longest side to `size_px`, antialiased, the rest padded with black on both sides.

    Source: data preparation of MGCA's public code (longest side resized, zero-padded).
    """
    fitted_HW = fit_side(pixels_HW, size_px)
    height, width = fitted_HW.shape
    square = np.zeros((size_px, size_px), np.uint8)
    top, left = (size_px - height) // 2, (size_px - width) // 2
    square[top : top + height, left : left + width] = fitted_HW
    return square


def fit_side(pixels_HW: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Longest side to `size_px`, antialiased: what `fit_square` pads."""
    height, width = pixels_HW.shape
    scale = size_px / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    image = Image.fromarray(pixels_HW)
    if (new_height, new_width) != (height, width):
        image = image.resize((new_width, new_height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def squares(images: Sequence[NDArray[np.uint8]], size_px: int) -> Tensor:
    """Grey images of any sizes at a tower's size, uint8 (N, 1, S, S)."""
    return torch.from_numpy(np.stack([fit_square(image, size_px) for image in images])[:, None])


def as_input(images_B1SS: Tensor) -> Tensor:
    """Grey levels 0..255 to float32 -1..1: mean and deviation 0.5, as MGCA prepares data."""
    return images_B1SS.float() / 127.5 - 1


def random_views(images_B1SS: Tensor, config: AugmentationConfig, random: Generator) -> Tensor:
    """One random view of each image, same shape, in -1..1.

    Args:
        images_B1SS: Inputs in -1..1, (B, 1, S, S), on any device.
        config: Ranges of crop, affine, brightness, contrast and blur.
        random: CPU generator; the draws do not depend on the device.
    """
    return as_drawn(images_B1SS, draw_views(len(images_B1SS), config, random))


@dataclass(frozen=True, slots=True)
class Light:
    """What was drawn for some images' brightness, contrast and blur, each (B,), on the CPU.

    Attributes:
        shift_B: Added to every pixel.
        gain_B: Of the distance from the mean.
        blur_B: Standard deviation, px; 0 where there is none.
        blur_radius_px: Where the Gaussian is cut off.
    """

    shift_B: Tensor
    gain_B: Tensor
    blur_B: Tensor
    blur_radius_px: int


@dataclass(frozen=True, slots=True)
class ViewDraws:
    """What was drawn for one view of each of some images."""

    moves_B23: Tensor
    light: Light

    def of(self, rows: slice) -> "ViewDraws":
        """Those of some of the images."""
        light, blur_B = self.light, self.light.blur_B
        own = Light(light.shift_B[rows], light.gain_B[rows], blur_B[rows], light.blur_radius_px)
        return ViewDraws(self.moves_B23[rows], own)


def draw_views(count: int, config: AugmentationConfig, random: Generator) -> ViewDraws:
    """All that is random in `random_views` of as many images."""
    moves_B23 = random_moves(count, config, random)
    return ViewDraws(moves_B23, _draw_light(count, config, random))


def as_drawn(images_B1SS: Tensor, draws: ViewDraws) -> Tensor:
    """The views that were drawn of some images, same shape, in -1..1."""
    return _lit(moved(images_B1SS, draws.moves_B23), draws.light)


def random_moves(count: int, config: AugmentationConfig, random: Generator) -> Tensor:
    """Crop, rotation, shift and flip as one affine map each, (B, 2, 3), on the CPU.

    A row takes (x, y, 1) of a view to the image's (x, y), both -1..1 from edge to edge.
    """
    side = _uniform(count, config.min_crop, config.max_crop, random)
    angle = _uniform(count, -1, 1, random) * math.radians(config.rotation_degrees)
    free_B2 = (1 - side).unsqueeze(1) + 2 * config.translation
    centre_B2 = (torch.rand(count, 2, generator=random) * 2 - 1) * free_B2
    flips = torch.rand(count, generator=random) < 0.5
    mirror = torch.where(flips & config.horizontal_flip, -1.0, 1.0)
    cosine, sine = side * angle.cos(), side * angle.sin()
    rows = [cosine * mirror, -sine, centre_B2[:, 0], sine * mirror, cosine, centre_B2[:, 1]]
    return torch.stack(rows, dim=1).view(count, 2, 3)


def moved(images_BCSS: Tensor, moves_B23: Tensor) -> Tensor:
    """Images in -1..1, each resampled once by its map, black outside."""
    grid = functional.affine_grid(
        moves_B23.to(images_BCSS.device), list(images_BCSS.shape), align_corners=False
    )
    # black is -1 here: shifted to 0 so that what lies outside the image is black, not grey
    return functional.grid_sample(images_BCSS + 1, grid, align_corners=False) - 1


def _uniform(count: int, low: float, high: float, random: Generator) -> Tensor:
    return torch.rand(count, generator=random) * (high - low) + low


def _draw_light(count: int, config: AugmentationConfig, random: Generator) -> Light:
    shift_B = _uniform(count, -2 * config.brightness, 2 * config.brightness, random)
    gain_B = _uniform(count, 1 - config.contrast, 1 + config.contrast, random)
    blurred_B = torch.rand(count, generator=random) < config.blur_probability
    sigma_B = _uniform(count, 0.1, max(0.1, config.max_blur_px), random)
    return Light(shift_B, gain_B, sigma_B * blurred_B, math.ceil(3 * config.max_blur_px))


def _lit(images: Tensor, light: Light) -> Tensor:
    shift_B111, gain_B111 = (
        drawn.view(-1, 1, 1, 1).to(images.device) for drawn in (light.shift_B, light.gain_B)
    )
    mean_B111 = images.mean(dim=(1, 2, 3), keepdim=True)
    relit = (images - mean_B111) * gain_B111 + mean_B111 + shift_B111
    return _blurred(relit, light.blur_B, light.blur_radius_px).clamp(-1, 1)


def _blurred(images: Tensor, sigma_B: Tensor, radius: int) -> Tensor:
    """Gaussian blur of some images, each with its own width; separable, as two convolutions."""
    chosen = sigma_B.nonzero()[:, 0]
    if len(chosen) == 0:
        return images
    offsets_K = torch.arange(-radius, radius + 1)
    kernel_BK = torch.exp(-0.5 * (offsets_K / sigma_B[chosen, None]) ** 2)
    kernel_B11K = (kernel_BK / kernel_BK.sum(dim=1, keepdim=True))[:, None, None]
    kernel_B11K = kernel_B11K.to(images.device)
    chosen = chosen.to(images.device)
    one_1BSS = functional.pad(images[chosen, 0], [radius] * 4, mode="replicate")[None]
    groups = len(chosen)
    one_1BSS = functional.conv2d(one_1BSS, kernel_B11K, groups=groups)
    one_1BSS = functional.conv2d(one_1BSS, kernel_B11K.transpose(2, 3), groups=groups)
    return images.index_copy(0, chosen, one_1BSS[0][:, None])
