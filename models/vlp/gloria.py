"""GLoRIA (Huang et al. 2021): a global loss over pooled features and a local one over words.

Shape suffixes: B batch, I images, T texts, L tokens, W words, R regions, C channels, D shared
embedding, H and W of a map its sides.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.vlp.heads import as_maps, regions_of
from models.vlp.losses import matching_losses
from models.vlp.objective_configs import GloriaConfig
from models.vlp.objectives import ImageFeatures, ObjectiveLoss, TextFeatures, TowerWidths
from models.vlp.words import sum_pieces, word_mask


class Gloria(nn.Module):
    """Learns which regions of an image a word of its report speaks of."""

    def __init__(self, config: GloriaConfig, widths: TowerWidths) -> None:
        super().__init__()
        widths.require_regions(config.kind)
        self.config = config
        size = config.embedding_size
        self.image_head = nn.Linear(widths.image_pooled, size)
        self.text_head = nn.Linear(widths.text_pooled, size)
        self.region_head = nn.Linear(widths.image_local, size, bias=False)
        self.word_head = nn.Linear(widths.text_local, size, bias=False)

    def embed_images(self, features: ImageFeatures) -> Tensor:
        """Unit-norm image embeddings, (B, D)."""
        return functional.normalize(self.image_head(features.pooled_BC), dim=-1)

    def embed_texts(self, features: TextFeatures) -> Tensor:
        """Unit-norm text embeddings, (B, D)."""
        return functional.normalize(self.text_head(features.pooled_BC), dim=-1)

    def loss(self, images: ImageFeatures, texts: TextFeatures, progress: float) -> ObjectiveLoss:
        """Both directions of both losses, summed as in the paper; the same at every progress.

        Takes B * B * W * (R + D) numbers: every word is compared with every image.
        """
        del progress
        factor = self.config.logit_factor
        global_BB = self.embed_images(images) @ self.embed_texts(texts).T
        local_BB = local_similarities(
            self._words(texts),
            word_mask(texts.words_BL),
            self._regions(images),
            self.config.attention_factor,
            self.config.word_factor,
        )
        global_loss = torch.stack(matching_losses(factor * global_BB)).sum()
        local_loss = torch.stack(matching_losses(factor * local_BB)).sum()
        total = self.config.global_weight * global_loss + self.config.local_weight * local_loss
        return ObjectiveLoss(total, {"global": global_loss.detach(), "local": local_loss.detach()})

    def similarity_maps(self, images: ImageFeatures, texts: TextFeatures) -> Tensor:
        """Mean cosine of a text's words with each region of its image, (B, H, W)."""
        words_BWD = functional.normalize(self._words(texts), dim=-1)
        regions_BRD = functional.normalize(self._regions(images), dim=-1)
        words_B1D = words_BWD.sum(dim=1, keepdim=True)
        counts_B11 = word_mask(texts.words_BL).sum(dim=1)[:, None, None]
        map_BR = (words_B1D @ regions_BRD.transpose(1, 2) / counts_B11).squeeze(1)
        return as_maps(map_BR, images)

    def attention_maps(self, images: ImageFeatures, texts: TextFeatures) -> Tensor:
        """Where each word of a text looks in its own image, (B, W, H, W), each map summing to 1.

        Maps of words beyond a text's last mean nothing.
        """
        words_BWD, mask_BW = self._words(texts), word_mask(texts.words_BL)
        regions_BRD = self._regions(images)
        of_pair = [slice(pair, pair + 1) for pair in range(len(words_BWD))]
        factor = self.config.attention_factor
        attention_BWR = torch.cat(
            [word_attention(words_BWD[i], mask_BW[i], regions_BRD[i], factor)[0] for i in of_pair]
        )
        return as_maps(attention_BWR, images)

    def constrain(self) -> None:
        """Its weights are free."""

    def _words(self, texts: TextFeatures) -> Tensor:
        return sum_pieces(self.word_head(texts.local_BLC), texts.words_BL)

    def _regions(self, images: ImageFeatures) -> Tensor:
        projected: Tensor = self.region_head(regions_of(images))
        return projected


def word_attention(
    words_TWD: Tensor, mask_TW: Tensor, regions_IRD: Tensor, attention_factor: float
) -> Tensor:
    """How much each word of each text attends to each region of each image, (I, T, W, R).

    A region's scores are first shared out among the words of the text, then each word's shares
    among the regions: the first step is the public code's, the second the paper's a_ij.

    Args:
        words_TWD: Word vectors, not normalised.
        mask_TW: True at words, False at padding.
        regions_IRD: Region vectors, not normalised.
        attention_factor: 1 / temperature of the second step.
    """
    scores_ITWR = torch.einsum("twd,ird->itwr", words_TWD, regions_IRD)
    shares_ITWR = scores_ITWR.masked_fill(~mask_TW[:, :, None], -torch.inf).softmax(dim=2)
    return (attention_factor * shares_ITWR).softmax(dim=3)


def local_similarities(
    words_TWD: Tensor,
    mask_TW: Tensor,
    regions_IRD: Tensor,
    attention_factor: float,
    word_factor: float,
) -> Tensor:
    """How well the words of each text fit what they attend to in each image, (I, T).

    The log of the sum over words of exp(word_factor * cosine of word and context), where a
    word's context is the sum of regions weighted by its attention. Source: section 3.3 of the
    paper (its Z, whose outer exponent the public code leaves to the logits' factor).
    """
    attention_ITWR = word_attention(words_TWD, mask_TW, regions_IRD, attention_factor)
    contexts_ITWD = attention_ITWR @ regions_IRD[:, None]
    cosines_ITW = functional.cosine_similarity(words_TWD[None], contexts_ITWD, dim=-1)
    return (word_factor * cosines_ITW).masked_fill(~mask_TW, -torch.inf).logsumexp(dim=2)
