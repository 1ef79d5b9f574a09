"""Contrastive losses. Shape suffixes: B batch, D shared embedding."""

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_loss(
    image_BD: Tensor,
    text_BD: Tensor,
    temperature: float,
    image_to_text_weight: float = 0.5,
    ignored_BB: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Bidirectional InfoNCE over a batch of matched pairs.

    Args:
        image_BD: Unit-norm image embeddings, (B, D).
        text_BD: Unit-norm text embeddings; row i belongs to image i.
        temperature: Softmax temperature, > 0, dimensionless.
        image_to_text_weight: Weight of the image-to-text direction, lambda in eq. 3.
        ignored_BB: True where text j is no negative of image i; symmetric, its diagonal unused.

    Returns:
        Weighted loss, image-to-text loss and text-to-image loss, each a mean over the batch
        in nats, scalar.

    Raises:
        ValueError: If the two batch shapes differ.

    Source: Zhang et al. 2020 (ConVIRT), eq. 1-3.
    """
    if image_BD.shape != text_BD.shape:
        raise ValueError(
            f"image and text embeddings must have one shape, got {tuple(image_BD.shape)} and "
            f"{tuple(text_BD.shape)}; pass row i of each for pair i"
        )
    logits_BB = image_BD @ text_BD.T / temperature
    if ignored_BB is not None:
        own_BB = torch.eye(len(logits_BB), dtype=torch.bool, device=logits_BB.device)
        logits_BB = logits_BB.masked_fill(ignored_BB & ~own_BB, -torch.inf)
    image_to_text, text_to_image = matching_losses(logits_BB)
    total = image_to_text_weight * image_to_text + (1 - image_to_text_weight) * text_to_image
    return total, image_to_text, text_to_image


def matching_losses(logits_BB: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of finding row i's match in column i, and column i's in row i.

    Returns:
        Of images looking for their text (rows), of texts looking for their image (columns); each
        a mean over the batch in nats, scalar.
    """
    target_B = torch.arange(len(logits_BB), device=logits_BB.device)
    rows = functional.cross_entropy(logits_BB, target_B)
    return rows, functional.cross_entropy(logits_BB.T, target_B)


def equal_rows(token_ids_BL: Tensor) -> Tensor:
    """True where two texts of a batch are the same tokens, (B, B)."""
    return (token_ids_BL[:, None] == token_ids_BL[None]).all(dim=-1)
