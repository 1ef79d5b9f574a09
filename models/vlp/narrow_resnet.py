"""A small ResNet for a laptop: strided stem, four stages, average and maximum pooling.

The maximum beside the mean keeps a nodule of a few pixels visible in the pooled vector, which
the mean alone dilutes by the map's area.

Shape suffixes: B batch, C channels, S image side, H and W map sides.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.vlp.objectives import ImageFeatures

# Of each stage, after the stem's 2. The last keeps its map, 6 x 6 at 96 px, for small findings.
STRIDES = (2, 2, 2, 1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016), halving the map when `stride` is 2."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(out_channels)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        )
        nn.init.zeros_(self.second_norm.weight)  # begins as the identity: trains faster

    def forward(self, map_BCHW: Tensor) -> Tensor:
        """The block's map."""
        inner = functional.relu(self.first_norm(self.first(map_BCHW)))
        inner = self.second_norm(self.second(inner))
        return functional.relu(inner + self.shortcut(map_BCHW))


class NarrowResNet(nn.Module):
    """Grey images (B, 1, S, S) in -1..1 to features of `2 * 8 * width` pooled channels."""

    def __init__(self, width: int, blocks_per_stage: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 5, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        widths = [width * 2**stage for stage in range(len(STRIDES))]
        self.stages = nn.Sequential(
            *(
                _stage(before, after, blocks_per_stage, stride)
                for before, after, stride in zip(
                    [width, *widths[:-1]], widths, STRIDES, strict=True
                )
            )
        )
        # All chests look alike: without what they share taken out, every cosine begins near 1
        # and the contrastive loss stays at log(batch) for long.
        self.pooled_norm = nn.BatchNorm1d(2 * widths[-1])

    def forward(self, images_B1SS: Tensor) -> ImageFeatures:
        """The last map, and its mean and maximum side by side."""
        map_BCHW = self.maps(images_B1SS)[-1]
        pooled = torch.cat([map_BCHW.mean(dim=(2, 3)), map_BCHW.amax(dim=(2, 3))], dim=1)
        return ImageFeatures(self.pooled_norm(pooled), map_BCHW)

    def maps(self, images_B1SS: Tensor) -> list[Tensor]:
        """The map of the stem and of every stage, in order."""
        maps: list[Tensor] = [self.stem(images_B1SS)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


def _stage(in_channels: int, out_channels: int, num_blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(in_channels, out_channels, stride),
        *(ResidualBlock(out_channels, out_channels, stride=1) for _ in range(num_blocks - 1)),
    )
