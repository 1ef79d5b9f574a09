"""The maps inside an image tower, fine to coarse: what segmentation and detection build on.

Shape suffixes: B batch, C channels, S image side, H and W map sides.
"""

from typing import Self

import torch
from torch import Tensor, nn

from models.downstream.dense_configs import EncoderUse
from models.vlp.configs import ImageTowerConfig
from models.vlp.narrow_resnet import NarrowResNet
from models.vlp.towers import OpenClipTower, TimmTower, build_image_tower

FEWEST_MAPS = 2  # of different sizes, or there is nothing to build a pyramid of


class Stages(nn.Module):
    """A tower that gives the last map of each size, the finest first.

    Attributes:
        channels: Of each map.
        strides: Image pixels between neighbours of each map.
    """

    def __init__(self, tower: nn.Module, image_size_px: int) -> None:
        """Look at one blank image.

        Args:
            tower: Of `build_image_tower`; trained along.
            image_size_px: Side of the images to come.

        Raises:
            ValueError: If all of the tower's maps are of one size.
        """
        super().__init__()
        self.tower = tower
        tower.eval()
        with torch.no_grad():
            maps = self.forward(torch.zeros(1, 1, image_size_px, image_size_px))
        if len(maps) < FEWEST_MAPS:
            raise ValueError(
                "segmentation and detection need an image tower with stages, whose maps shrink, "
                f"got {type(tower).__name__} with maps of one size only; name narrow-resnet, "
                "timm/resnet50 or another convolutional tower"
            )
        self.channels = tuple(map_BCHW.shape[1] for map_BCHW in maps)
        self.strides = tuple(round(image_size_px / map_BCHW.shape[3]) for map_BCHW in maps)

    def forward(self, images_B1SS: Tensor) -> list[Tensor]:
        """Maps of images in -1..1, each (B, C, H, W)."""
        by_side = {map_BCHW.shape[3]: map_BCHW for map_BCHW in _all_maps(self.tower, images_B1SS)}
        return [by_side[side] for side in sorted(by_side, reverse=True)]


class FrozenStages(Stages):
    """The same, weights and statistics of normalisation left as they are."""

    def __init__(self, tower: nn.Module, image_size_px: int) -> None:
        super().__init__(tower, image_size_px)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode."""
        return super().train(False)


def stages_of(tower: nn.Module, image_size_px: int, use: EncoderUse) -> Stages:
    """The tower's maps, for training with or without the tower.

    Raises:
        ValueError: If all of the tower's maps are of one size.
    """
    kind = FrozenStages if use is EncoderUse.FROZEN else Stages
    return kind(tower, image_size_px)


def untrained_tower(config: ImageTowerConfig) -> nn.Module:
    """The same architecture with random weights, from torch's global generator."""
    tower = build_image_tower(config.model_copy(update={"pretrained_tag": None}))
    return tower.to(memory_format=torch.channels_last)


def _all_maps(tower: nn.Module, images_B1SS: Tensor) -> list[Tensor]:
    """Every map from the input to the output, in order."""
    if isinstance(tower, TimmTower):
        maps: list[Tensor] = tower.trunk.forward_intermediates(images_B1SS, intermediates_only=True)
        return maps
    if isinstance(tower, OpenClipTower):
        seen = tower.trunk.forward_intermediates(
            images_B1SS.expand(-1, 3, -1, -1), intermediates_only=True
        )
        return list(seen["image_intermediates"])
    assert isinstance(tower, NarrowResNet), "build_image_tower builds no other"
    return tower.maps(images_B1SS)
