import math

import numpy as np
import pytest
import torch

from models.vlp.gloria import Gloria
from models.vlp.objective_configs import GloriaConfig
from models.vlp.objectives import GroundingObjective, ImageFeatures, TextFeatures, TowerWidths

from .plain import (
    WIDTHS,
    Row,
    both_ways,
    cosine,
    linear,
    region_rows,
    reordered,
    require_gradients,
    rows,
    softmax,
    some_features,
    with_more_padding,
    with_other_special_marks,
    word_rows,
)


def objective(**settings: float) -> Gloria:
    torch.manual_seed(1)
    config = GloriaConfig.model_validate({"embedding_size": 8, **settings})
    return Gloria(config, WIDTHS).double()


def plain_attention(words: list[Row], regions: list[Row]) -> list[list[float]]:
    """Attention of each word on the regions, by the paper's two steps."""
    shares = [softmax([float(word @ region) for word in words]) for region in regions]
    return [softmax([4.0 * share[w] for share in shares]) for w in range(len(words))]


def plain_terms(gloria: Gloria, images: ImageFeatures, texts: TextFeatures) -> tuple[float, float]:
    """Global and local loss, one image, text, word and region at a time."""
    count = len(images.pooled_BC)
    seen = [linear(gloria.image_head, row) for row in rows(images.pooled_BC)]
    read = [linear(gloria.text_head, row) for row in rows(texts.pooled_BC)]
    whole = [[10.0 * cosine(image, text) for text in read] for image in seen]
    local = [[0.0] * count for _ in range(count)]
    for i in range(count):
        regions = [linear(gloria.region_head, row) for row in region_rows(images, i)]
        for t in range(count):
            words = [linear(gloria.word_head, row) for row in word_rows(texts, t)]
            total = 0.0
            for word, weights in zip(words, plain_attention(words, regions), strict=True):
                context = np.zeros(len(word))
                for weight, region in zip(weights, regions, strict=True):
                    context = context + weight * region
                total += math.exp(5.0 * cosine(word, context))
            local[i][t] = 10.0 * math.log(total)
    return sum(both_ways(whole)), sum(both_ways(local))


def test_gloria_float64_equals_the_plain_equations() -> None:
    gloria, (images, texts) = objective(local_weight=0.5), some_features()
    whole, local = plain_terms(gloria, images, texts)
    loss = gloria.loss(images, texts, 0.0)
    assert loss.terms["global"].item() == pytest.approx(whole, rel=1e-9)
    assert loss.terms["local"].item() == pytest.approx(local, rel=1e-9)
    assert loss.total.item() == pytest.approx(whole + 0.5 * local, rel=1e-9)


def test_gloria_gradients_agree_with_finite_differences() -> None:
    gloria, (images, texts) = objective(), some_features()
    inputs = (*require_gradients(images, texts), *gloria.parameters())
    assert torch.autograd.gradcheck(lambda *_: gloria.loss(images, texts, 0.0).total, inputs)


def test_gloria_padding_and_special_marks_change_nothing() -> None:
    gloria, (images, texts) = objective(), some_features()
    expected = gloria.loss(images, texts, 0.0).total
    for same in (with_more_padding(texts), with_other_special_marks(texts)):
        torch.testing.assert_close(
            gloria.loss(images, same, 0.0).total, expected, rtol=1e-12, atol=0
        )


def test_gloria_padding_gets_no_gradient() -> None:
    gloria, (images, texts) = objective(), some_features()
    texts.local_BLC.requires_grad_()
    (gradient,) = torch.autograd.grad(gloria.loss(images, texts, 0.0).total, [texts.local_BLC])
    assert torch.isfinite(gradient).all()
    assert (gradient[texts.words_BL < 0] == 0).all()
    assert (gradient[texts.words_BL >= 0] != 0).any(dim=-1).all()


def test_gloria_order_of_the_batch_changes_nothing() -> None:
    gloria, (images, texts) = objective(), some_features()
    again = gloria.loss(*reordered(images, texts, [3, 1, 0, 2]), 0.0)
    torch.testing.assert_close(
        again.total, gloria.loss(images, texts, 0.0).total, rtol=1e-12, atol=0
    )


def test_gloria_maps_equal_the_plain_equations() -> None:
    gloria, (images, texts) = objective(), some_features()
    assert isinstance(gloria, GroundingObjective)
    attention, similarity = (
        gloria.attention_maps(images, texts),
        gloria.similarity_maps(images, texts),
    )
    assert attention.shape == (4, 4, 2, 3)
    assert similarity.shape == (4, 2, 3)
    for i in range(4):
        regions = [linear(gloria.region_head, row) for row in region_rows(images, i)]
        words = [linear(gloria.word_head, row) for row in word_rows(texts, i)]
        for word, weights in enumerate(plain_attention(words, regions)):
            np.testing.assert_allclose(rows(attention[i, word]).ravel(), weights, rtol=1e-9)
        means = [sum(cosine(word, r) for word in words) / len(words) for r in regions]
        np.testing.assert_allclose(rows(similarity[i]).ravel(), means, rtol=1e-9, atol=1e-12)


def test_gloria_for_a_tower_with_one_region_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"gloria needs a map of several regions .*, got 1; raise"):
        Gloria(GloriaConfig(), TowerWidths(7, 5, 6, 4, num_regions=1))
