"""What stands between a tower and the shared space."""

from torch import Tensor, nn

from models.vlp.objectives import ImageFeatures


def projection_head(in_channels: int, out_channels: int) -> nn.Sequential:
    """W2 relu(W1 x), the non-linear projection of ConVIRT, section 3.2."""
    return nn.Sequential(
        nn.Linear(in_channels, out_channels), nn.ReLU(), nn.Linear(out_channels, out_channels)
    )


def regions_of(features: ImageFeatures) -> Tensor:
    """The map as a row of regions, (B, H * W, C), top row first."""
    return features.local_BCHW.flatten(start_dim=2).transpose(1, 2)


def as_maps(of_regions: Tensor, features: ImageFeatures) -> Tensor:
    """Values of regions, (..., H * W), as maps of those features, (..., H, W)."""
    return of_regions.reshape(*of_regions.shape[:-1], *features.local_BCHW.shape[2:])
