"""MGCA (Wang et al. 2022): alignment of instances, of tokens, and of prototypes ("diseases").

Shape suffixes: B batch, L tokens, W words, R regions, C channels, D shared embedding,
K prototypes, H and W of a map its sides.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.vlp.heads import as_maps, projection_head, regions_of
from models.vlp.losses import matching_losses
from models.vlp.objective_configs import MgcaConfig
from models.vlp.objectives import ImageFeatures, ObjectiveLoss, TextFeatures, TowerWidths
from models.vlp.token_alignment import alignment_loss, word_weights
from models.vlp.words import sum_pieces, word_mask


class Mgca(nn.Module):
    """Three losses: instance-wise, token-wise both ways, and prototype-level (ITA, CTA, CPA)."""

    def __init__(self, config: MgcaConfig, widths: TowerWidths) -> None:
        super().__init__()
        widths.require_regions(config.kind)
        self.config = config
        size = config.embedding_size
        self.image_head = projection_head(widths.image_pooled, size)
        self.text_head = projection_head(widths.text_pooled, size)
        self.region_head = projection_head(widths.image_local, size)
        self.word_head = projection_head(widths.text_local, size)
        prototypes_KD = torch.randn(config.num_prototypes, size)
        self.prototypes_KD = nn.Parameter(functional.normalize(prototypes_KD, dim=-1))

    def embed_images(self, features: ImageFeatures) -> Tensor:
        """Unit-norm image embeddings, (B, D)."""
        return functional.normalize(self.image_head(features.pooled_BC), dim=-1)

    def embed_texts(self, features: TextFeatures) -> Tensor:
        """Unit-norm text embeddings, (B, D)."""
        return functional.normalize(self.text_head(features.pooled_BC), dim=-1)

    def loss(self, images: ImageFeatures, texts: TextFeatures, progress: float) -> ObjectiveLoss:
        """Weighted sum of the three losses.

        Both directions are summed in the first two and averaged in the third, as in the public
        code. Before `prototypes_frozen_epochs` the prototypes get no gradient.
        """
        config = self.config
        image_BD, text_BD = self.embed_images(images), self.embed_texts(texts)
        logits_BB = image_BD @ text_BD.T / config.instance_temperature
        instance = torch.stack(matching_losses(logits_BB)).sum()
        token = self._token_loss(images, texts)
        frozen = progress < config.prototypes_frozen_epochs
        prototype = prototype_loss(
            image_BD,
            text_BD,
            self.prototypes_KD.detach() if frozen else self.prototypes_KD,
            config.prototype_temperature,
            config.sinkhorn_epsilon,
            config.sinkhorn_rounds,
        )
        total = (
            config.instance_weight * instance
            + config.token_weight * token
            + config.prototype_weight * prototype
        )
        terms = {"instance": instance, "token": token, "prototype": prototype}
        return ObjectiveLoss(total, {name: term.detach() for name, term in terms.items()})

    def similarity_maps(self, images: ImageFeatures, texts: TextFeatures) -> Tensor:
        """Mean cosine of a text's words with each region of its image, (B, H, W)."""
        words_BWD, mask_BW = self._words(texts), word_mask(texts.words_BL)
        words_B1D = (words_BWD * mask_BW[..., None]).sum(dim=1, keepdim=True)
        counts_B11 = mask_BW.sum(dim=1)[:, None, None]
        map_BR = (words_B1D @ self._regions(images).transpose(1, 2) / counts_B11).squeeze(1)
        return as_maps(map_BR, images)

    def attention_maps(self, images: ImageFeatures, texts: TextFeatures) -> Tensor:
        """Where each word of a text looks in its own image, (B, W, H, W), each map summing to 1.

        Maps of words beyond a text's last mean nothing.
        """
        scores_BWR = self._words(texts) @ self._regions(images).transpose(1, 2)
        attention_BWR = (scores_BWR / self.config.token_temperature).softmax(dim=2)
        return as_maps(attention_BWR, images)

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring the prototypes back to unit norm."""
        self.prototypes_KD.copy_(functional.normalize(self.prototypes_KD, dim=-1))

    def _token_loss(self, images: ImageFeatures, texts: TextFeatures) -> Tensor:
        """Words to regions and regions to words; every region counts alike."""
        words_BWD, mask_BW = self._words(texts), word_mask(texts.words_BL)
        regions_BRD = self._regions(images)
        all_BR = regions_BRD.new_ones(regions_BRD.shape[:2], dtype=torch.bool)
        even_BR = regions_BRD.new_full(regions_BRD.shape[:2], 1 / regions_BRD.shape[1])
        attention_BW = sum_pieces(texts.attention_BL[..., None], texts.words_BL)[..., 0]
        importance_BW = word_weights(attention_BW, mask_BW)
        temperature = self.config.token_temperature
        of_words = alignment_loss(
            words_BWD, mask_BW, regions_BRD, all_BR, importance_BW, temperature
        )
        of_regions = alignment_loss(regions_BRD, all_BR, words_BWD, mask_BW, even_BR, temperature)
        return of_words + of_regions

    def _words(self, texts: TextFeatures) -> Tensor:
        words_BWC = sum_pieces(texts.local_BLC, texts.words_BL)
        return functional.normalize(self.word_head(words_BWC), dim=-1)

    def _regions(self, images: ImageFeatures) -> Tensor:
        return functional.normalize(self.region_head(regions_of(images)), dim=-1)


def prototype_loss(
    image_BD: Tensor,
    text_BD: Tensor,
    prototypes_KD: Tensor,
    temperature: float,
    epsilon: float,
    rounds: int,
) -> Tensor:
    """Each side predicts the other's assignment to the prototypes: swapped cross-entropy.

    Args:
        image_BD: Unit-norm image embeddings.
        text_BD: Unit-norm text embeddings; row i belongs to image i.
        prototypes_KD: Unit-norm prototypes.
        temperature: Of the prediction.
        epsilon: Of the assignment.
        rounds: Of the assignment.

    Returns:
        Mean of both directions over the batch, nats, scalar.

    Source: Wang et al. 2022 (MGCA), cross-modal prototype alignment.
    """
    image_BK, text_BK = image_BD @ prototypes_KD.T, text_BD @ prototypes_KD.T
    image_code_BK = balanced_assignments(image_BK, epsilon, rounds)
    text_code_BK = balanced_assignments(text_BK, epsilon, rounds)
    from_text = -(image_code_BK * (text_BK / temperature).log_softmax(dim=1)).sum(dim=1).mean()
    from_image = -(text_code_BK * (image_BK / temperature).log_softmax(dim=1)).sum(dim=1).mean()
    return (from_text + from_image) / 2


@torch.no_grad()
def balanced_assignments(scores_BK: Tensor, epsilon: float, rounds: int) -> Tensor:
    """Soft assignment of a batch to prototypes, each prototype used about equally, (B, K).

    Sinkhorn-Knopp: exp(score / epsilon) is brought by turns to equal sums over prototypes and
    over samples, and last each row to sum 1. No gradient passes.

    Args:
        scores_BK: Cosine of each embedding with each prototype.
        epsilon: Small: nearly hard assignments.
        rounds: Turns.

    Source: Cuturi 2013; Caron et al. 2020 (SwAV), appendix A; MGCA's public code.
    """
    shares_BK = ((scores_BK - scores_BK.max()) / epsilon).exp()  # the largest cancels out
    for _ in range(rounds):
        shares_BK = shares_BK / shares_BK.sum(dim=0, keepdim=True)
        shares_BK = shares_BK / shares_BK.sum(dim=1, keepdim=True)
    return shares_BK
