"""Gradient maps against answers that are known."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from models.vlp.gradient_maps import gradient_map
from models.vlp.objectives import ImageFeatures, PretrainingObjective

CHANNELS = 3


class Averaging(nn.Module):
    """Its map is linear in the image's pixels, 4 px a region, its pooled vector the map's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Conv2d(1, CHANNELS, 4, 4, bias=False)

    def forward(self, images_B1SS: Tensor) -> ImageFeatures:
        map_BCHW = self.map(images_B1SS)
        return ImageFeatures(map_BCHW.mean(dim=(2, 3)), map_BCHW)


class Apart(Averaging):
    """Its pooled vector comes from elsewhere, as that of a ViT with a token for it."""

    def forward(self, images_B1SS: Tensor) -> ImageFeatures:
        seen = super().forward(images_B1SS)
        return ImageFeatures(images_B1SS.mean(dim=(2, 3)).expand(-1, CHANNELS), seen.local_BCHW)


class Plain:
    """Embeds by nothing, so that the product with a text is linear."""

    def embed_images(self, features: ImageFeatures) -> Tensor:
        return features.pooled_BC


PLAIN = cast(PretrainingObjective, Plain())


@pytest.mark.parametrize("frozen", [False, True])
def test_of_a_linear_model_each_region_has_its_share_of_the_product(frozen: bool) -> None:
    torch.manual_seed(0)
    tower = Averaging().requires_grad_(not frozen)
    image_11SS, text_D = torch.randn(1, 1, 12, 8), torch.randn(CHANNELS)
    found_HW = gradient_map(tower, PLAIN, image_11SS, text_D)
    seen = tower(image_11SS)
    expected_HW = torch.einsum("chw,c->hw", seen.local_BCHW[0], text_D) / 6
    torch.testing.assert_close(found_HW, expected_HW.detach())
    torch.testing.assert_close(found_HW.sum(), (seen.pooled_BC[0] @ text_D).detach())
    assert not found_HW.requires_grad
    assert tower.map.weight.grad is None


def test_a_tower_whose_vector_is_not_of_its_map_is_refused() -> None:
    with pytest.raises(ValueError, match="derives from its map"):
        gradient_map(Apart(), PLAIN, torch.zeros(1, 1, 8, 8), torch.ones(CHANNELS))
