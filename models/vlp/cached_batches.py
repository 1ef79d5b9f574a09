"""Batches larger than the device holds, with the gradient of the whole batch (GradCache).

A contrastive loss compares every pair with every other, so that its gradient is no sum over
chunks of the batch. But the loss needs the towers' outputs alone: they are computed chunk by
chunk without a graph, the loss is differentiated by them, and then each chunk goes through the
towers again to carry its share of that gradient into the weights. It costs one more forward pass.

The gradient is that of one large batch for towers that treat each sample alone. Batch
normalisation does not: its statistics are then each chunk's, as on several GPUs without
synchronised statistics, so that a ResNet trains a little differently with every chunk size;
its running averages move once a chunk. Dropout is drawn chunk by chunk, the same in both passes.

The same cut at the towers' outputs lets several processes share a batch (`ranks.py`): each puts
its own rows through its towers, and all compare everybody's.

Source: Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited
setup", section 3.2.
Shape suffixes: B batch, S image side, V text draws, L tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.vlp.model import VisionLanguageModel
from models.vlp.objectives import ImageFeatures, ObjectiveLoss, TextFeatures
from models.vlp.ranks import Ranks

FeaturesT = TypeVar("FeaturesT", ImageFeatures, TextFeatures)

_TOWER_OUTPUTS = ("pooled_BC", "local_BCHW", "local_BLC")  # the fields that gradients pass through


def backward_in_chunks(
    model: VisionLanguageModel,
    images_B1SS: Tensor,
    token_ids_VBL: Sequence[Tensor],
    progress: float,
    precision: torch.dtype,
    chunk_size: int,
    ranks: Ranks,
) -> ObjectiveLoss:
    """Add the gradient of the batch's loss to the weights' gradients.

    Args:
        model: As for `VisionLanguageModel.loss`, which also says what the next three are.
        images_B1SS: Image views, this process's rows of the batch.
        token_ids_VBL: Text draws, the same rows.
        progress: Epochs done so far.
        precision: Of the towers.
        chunk_size: Pairs in the towers at once; with batch normalisation no chunk, the last
            included, may be a single pair.
        ranks: Who shares the batch.

    Returns:
        The loss of the whole batch; its gradient has been taken.
    """
    seed = torch.initial_seed()
    torch.manual_seed(seed)
    with torch.no_grad(), _running_averages_kept(model):
        images, texts = joined_features(model, images_B1SS, token_ids_VBL, precision, chunk_size)
    loss, gradients = _compared(model, images, texts, progress, ranks)
    torch.manual_seed(seed)  # dropout draws what it drew in the first pass
    for rows in _chunks(len(images_B1SS), chunk_size):
        ids_VBL = [ids_BL[rows] for ids_BL in token_ids_VBL]
        outputs = _differentiable(*model.features(images_B1SS[rows], ids_VBL, precision))
        _backward_from(outputs, [None if whole is None else whole[rows] for whole in gradients])
    return loss


def backward_in_shares(
    model: VisionLanguageModel,
    images_B1SS: Tensor,
    token_ids_VBL: Sequence[Tensor],
    progress: float,
    precision: torch.dtype,
    ranks: Ranks,
) -> ObjectiveLoss:
    """The same where the device holds all of this process's rows: one pass through the towers."""
    images, texts = model.features(images_B1SS, token_ids_VBL, precision)
    loss, gradients = _compared(model, images, texts, progress, ranks)
    _backward_from(_differentiable(images, texts), gradients)
    return loss


def joined_features(
    model: VisionLanguageModel,
    images_B1SS: Tensor,
    token_ids_VBL: Sequence[Tensor],
    precision: torch.dtype,
    chunk_size: int,
) -> tuple[ImageFeatures, list[TextFeatures]]:
    """What the towers make of a batch, of which a chunk at a time goes through them."""
    seen = [
        model.features(images_B1SS[rows], [ids_BL[rows] for ids_BL in token_ids_VBL], precision)
        for rows in _chunks(len(images_B1SS), chunk_size)
    ]
    draws = zip(*(texts for _, texts in seen), strict=True)
    return _joined([images for images, _ in seen]), [_joined(list(draw)) for draw in draws]


def _compared(
    model: VisionLanguageModel,
    images: ImageFeatures,
    texts: Sequence[TextFeatures],
    progress: float,
    ranks: Ranks,
) -> tuple[ObjectiveLoss, list[Tensor | None]]:
    """The loss of everybody's features, and its gradient in those of this process."""
    images, texts = _as_leaves(images, ranks), [_as_leaves(text, ranks) for text in texts]
    loss = model.compare(images, texts, progress)
    torch.autograd.backward(loss.total)
    own = ranks.rows(len(images.pooled_BC))
    leaves = _differentiable(images, texts)
    gradients = [None if leaf.grad is None else leaf.grad[own] for leaf in leaves]
    return ObjectiveLoss(loss.total.detach(), loss.terms), gradients


def _backward_from(outputs: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Carry the loss's gradient in some outputs on into the weights."""
    asked = [(output, gradient) for output, gradient in zip(outputs, gradients, strict=True)
             if gradient is not None]  # fmt: skip
    torch.autograd.backward([output for output, _ in asked], [gradient for _, gradient in asked])


def _chunks(num_pairs: int, chunk_size: int) -> list[slice]:
    return [slice(first, first + chunk_size) for first in range(0, num_pairs, chunk_size)]


def _joined(parts: Sequence[FeaturesT]) -> FeaturesT:
    """Chunks as one batch."""
    return _map_fields(parts[0], lambda name: torch.cat([getattr(part, name) for part in parts]))


def _as_leaves(features: FeaturesT, ranks: Ranks) -> FeaturesT:
    """Everybody's values, to be differentiated by where a tower would be."""

    def leaf(name: str) -> Tensor:
        values = ranks.gather(getattr(features, name))
        return values.requires_grad_() if name in _TOWER_OUTPUTS else values

    return _map_fields(features, leaf)


def _differentiable(images: ImageFeatures, texts: Sequence[TextFeatures]) -> list[Tensor]:
    """What gradients pass through, in one order."""
    of_texts = [values for text in texts for values in (text.pooled_BC, text.local_BLC)]
    return [images.pooled_BC, images.local_BCHW, *of_texts]


def _map_fields(features: FeaturesT, value: Callable[[str], Tensor]) -> FeaturesT:
    return type(features)(**{field.name: value(field.name) for field in fields(features)})


@contextmanager
def _running_averages_kept(model: nn.Module) -> Iterator[None]:
    """The first pass uses each chunk's statistics as the second does, but does not count."""
    norms = [part for part in model.modules() if isinstance(part, _BatchNorm)]
    before = [norm.track_running_stats for norm in norms]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm, tracked in zip(norms, before, strict=True):
            norm.track_running_stats = tracked
