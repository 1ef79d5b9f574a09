"""CLIP (Radford et al. 2021): a linear projection of each side and a learnt logit scale.

Shape suffixes: B batch, D shared embedding.
"""

import math

import torch
from open_clip.loss import ClipLoss
from torch import Tensor, nn
from torch.nn import functional

from models.vlp.objective_configs import ClipConfig
from models.vlp.objectives import ImageFeatures, ObjectiveLoss, TextFeatures, TowerWidths


class Clip(nn.Module):
    """Compares pooled features only. The loss is open_clip's own, called as its trainer does."""

    def __init__(self, config: ClipConfig, widths: TowerWidths) -> None:
        super().__init__()
        self.image_head = nn.Linear(widths.image_pooled, config.embedding_size, bias=False)
        self.text_head = nn.Linear(widths.text_pooled, config.embedding_size, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(config.initial_temperature)))
        self.max_logit_scale = config.max_logit_scale
        self._loss = ClipLoss()

    def embed_images(self, features: ImageFeatures) -> Tensor:
        """Unit-norm image embeddings, (B, D)."""
        return functional.normalize(self.image_head(features.pooled_BC), dim=-1)

    def embed_texts(self, features: TextFeatures) -> Tensor:
        """Unit-norm text embeddings, (B, D)."""
        return functional.normalize(self.text_head(features.pooled_BC), dim=-1)

    def loss(self, images: ImageFeatures, texts: TextFeatures, progress: float) -> ObjectiveLoss:
        """Symmetric cross-entropy over cosines times exp(logit_scale); figure 3 of the paper."""
        del progress
        scale = self.logit_scale.exp()
        total: Tensor = self._loss(self.embed_images(images), self.embed_texts(texts), scale)
        return ObjectiveLoss(total, {"logit_scale": scale.detach()})

    @torch.no_grad()
    def constrain(self) -> None:
        """Keep the scale within 1 to `max_logit_scale` (paper, section 2.5: at most 100)."""
        self.logit_scale.clamp_(0, math.log(self.max_logit_scale))
