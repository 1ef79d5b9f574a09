from dataclasses import replace

import pytest
import torch

from models.vlp.convirt import Convirt
from models.vlp.losses import contrastive_loss
from models.vlp.objectives import ConvirtConfig, ImageFeatures, TextFeatures

from .plain import (
    WIDTHS,
    both_ways,
    reordered,
    require_gradients,
    rows,
    some_features,
    two_layers,
    unit,
)


def features() -> tuple[ImageFeatures, TextFeatures]:
    """Four pairs, of which the first and third have the same text."""
    images, texts = some_features()
    return images, replace(texts, token_ids_BL=torch.tensor([[2, 3], [2, 4], [2, 3], [5, 6]]))


def objective(duplicate_text: str) -> Convirt:
    torch.manual_seed(1)
    config = ConvirtConfig.model_validate({"duplicate_text": duplicate_text, "embedding_size": 16})
    return Convirt(config, WIDTHS).double()


def test_convirt_negatives_is_the_papers_loss() -> None:
    paper, (images, texts) = objective("negatives"), features()
    expected, _, _ = contrastive_loss(
        paper.embed_images(images), paper.embed_texts(texts), 0.1, 0.75
    )
    torch.testing.assert_close(paper.loss(images, texts, 0.0).total, expected)


def test_convirt_masked_leaves_equal_sentences_out() -> None:
    images, texts = features()
    masked, paper = objective("masked"), objective("negatives")
    assert masked.loss(images, texts, 0.0).total < paper.loss(images, texts, 0.0).total


def test_convirt_embeddings_have_unit_norm() -> None:
    images, texts = features()
    torch.testing.assert_close(
        objective("masked").embed_images(images).norm(dim=1), torch.ones(4, dtype=torch.float64)
    )
    torch.testing.assert_close(
        objective("masked").embed_texts(texts).norm(dim=1), torch.ones(4, dtype=torch.float64)
    )


def test_convirt_terms_add_up_to_the_weighted_total() -> None:
    loss = objective("masked").loss(*features(), progress=0.0)
    weighted = 0.75 * loss.terms["image_to_text"] + 0.25 * loss.terms["text_to_image"]
    torch.testing.assert_close(loss.total.detach(), weighted)


def test_convirt_float64_equals_the_plain_equations_heads_included() -> None:
    paper, (images, texts) = objective("negatives"), features()
    seen = [unit(two_layers(paper.image_head, row)) for row in rows(images.pooled_BC)]
    read = [unit(two_layers(paper.text_head, row)) for row in rows(texts.pooled_BC)]
    to_text, to_image = both_ways([[float(i @ t) / 0.1 for t in read] for i in seen])
    assert paper.loss(images, texts, 0.0).total.item() == pytest.approx(
        0.75 * to_text + 0.25 * to_image, rel=1e-9
    )


@pytest.mark.parametrize("duplicate_text", ["negatives", "masked"])
def test_convirt_gradients_agree_with_finite_differences(duplicate_text: str) -> None:
    convirt, (images, texts) = objective(duplicate_text), features()
    inputs = (*require_gradients(images, texts)[::2], *convirt.parameters())
    assert torch.autograd.gradcheck(lambda *_: convirt.loss(images, texts, 0.0).total, inputs)


def test_convirt_order_of_the_batch_changes_nothing() -> None:
    convirt, (images, texts) = objective("masked"), features()
    again = convirt.loss(*reordered(images, texts, [2, 3, 0, 1]), 0.0)
    torch.testing.assert_close(
        again.total, convirt.loss(images, texts, 0.0).total, rtol=1e-12, atol=0
    )
