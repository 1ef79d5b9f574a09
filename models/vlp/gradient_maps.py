"""Where a model sees what a text says, asked of any objective: HiResCAM of the image–text cosine.

Shape suffixes: B batch, C channels, S image side, D shared embedding, H and W of a map its sides.
"""

import torch
from torch import Tensor, nn

from models.vlp.objectives import PretrainingObjective


def gradient_map(
    image_tower: nn.Module, objective: PretrainingObjective, image_11SS: Tensor, text_D: Tensor
) -> Tensor:
    """What each region adds to the cosine of image and text, to first order, (H, W).

    The tower's local map times the gradient of the cosine by it, summed over channels: a region
    counts where it is active in a way that brings the image nearer to the text.

    Args:
        image_tower: In evaluation mode.
        objective: Whose shared space it is.
        image_11SS: One image in -1..1.
        text_D: Unit-norm embedding of the text.

    Raises:
        ValueError: If the tower's pooled vector does not derive from its map.

    Source: Draelos and Carin 2020 (HiResCAM), of a cosine in place of a class score; Selvaraju et
    al. 2017 (Grad-CAM), whose mean over regions loses where the gradient is.
    """
    with torch.enable_grad():
        # by the image, so that a tower whose weights are frozen is traced as well
        features = image_tower(image_11SS.clone().requires_grad_()).in_float32()
        cosine = objective.embed_images(features)[0] @ text_D
        (gradient_BCHW,) = torch.autograd.grad(cosine, features.local_BCHW, allow_unused=True)
    if gradient_BCHW is None:
        raise ValueError(
            "gradient maps need an image tower whose pooled vector derives from its map (a ResNet, "
            "or a ViT that averages its patches); take one, or ask for maps: words"
        )
    map_HW: Tensor = (gradient_BCHW * features.local_BCHW).detach().sum(dim=1)[0]
    return map_HW
