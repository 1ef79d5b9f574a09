import math

import pytest
import torch
from open_clip.loss import ClipLoss
from torch.nn import functional

from models.vlp.clip import Clip
from models.vlp.objective_configs import ClipConfig

from .plain import (
    WIDTHS,
    both_ways,
    linear,
    reordered,
    require_gradients,
    rows,
    some_features,
    unit,
)


def objective() -> Clip:
    torch.manual_seed(1)
    return Clip(ClipConfig(embedding_size=8), WIDTHS).double()


def test_clip_float64_equals_the_papers_figure_3() -> None:
    clip, (images, texts) = objective(), some_features()
    seen = [unit(linear(clip.image_head, row)) for row in rows(images.pooled_BC)]
    read = [unit(linear(clip.text_head, row)) for row in rows(texts.pooled_BC)]
    logits = [[float(image @ text) / 0.07 for text in read] for image in seen]
    expected = sum(both_ways(logits)) / 2
    # the starting scale is the float32 nearest to log(1 / 0.07)
    clip.logit_scale.data.fill_(math.log(1 / 0.07))
    assert clip.loss(images, texts, 0.0).total.item() == pytest.approx(expected, rel=1e-9)


def test_clip_equals_open_clips_loss_on_the_same_features_gradients_included() -> None:
    clip, (images, texts) = objective(), some_features()
    inputs = (images.pooled_BC.requires_grad_(), texts.pooled_BC.requires_grad_())
    theirs = ClipLoss()(
        functional.normalize(clip.image_head(images.pooled_BC), dim=-1),
        functional.normalize(clip.text_head(texts.pooled_BC), dim=-1),
        clip.logit_scale.exp(),
    )
    ours = clip.loss(images, texts, 0.0).total
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    wanted = (*inputs, clip.logit_scale, clip.image_head.weight)
    for one, other in zip(
        torch.autograd.grad(ours, wanted), torch.autograd.grad(theirs, wanted), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


def test_clip_gradients_agree_with_finite_differences() -> None:
    clip, (images, texts) = objective(), some_features()
    pooled = require_gradients(images, texts)[::2]
    parameters = tuple(clip.parameters())
    assert torch.autograd.gradcheck(
        lambda *_: clip.loss(images, texts, 0.0).total, (*pooled, *parameters)
    )


def test_clip_order_of_the_batch_changes_nothing() -> None:
    clip, (images, texts) = objective(), some_features()
    again = reordered(images, texts, [2, 0, 3, 1])
    torch.testing.assert_close(
        clip.loss(*again, 0.0).total, clip.loss(images, texts, 0.0).total, rtol=1e-12, atol=0
    )


@pytest.mark.parametrize(("scale", "kept"), [(7.0, math.log(100)), (-1.0, 0.0), (2.0, 2.0)])
def test_clip_constrain_keeps_the_scale_between_1_and_100(scale: float, kept: float) -> None:
    clip = objective()
    clip.logit_scale.data.fill_(scale)
    clip.constrain()
    assert clip.logit_scale.item() == pytest.approx(kept)
    assert clip.logit_scale.requires_grad
