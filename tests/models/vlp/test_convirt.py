import torch

from models.vlp.convirt import Convirt
from models.vlp.losses import contrastive_loss
from models.vlp.objectives import ConvirtConfig, ImageFeatures, TextFeatures, TowerWidths


def features(batch: int) -> tuple[ImageFeatures, TextFeatures]:
    random = torch.Generator().manual_seed(0)
    tokens = torch.tensor([[2, 3], [2, 4], [2, 3], [5, 6]])[:batch]
    return (
        ImageFeatures(torch.randn(batch, 8, generator=random), torch.zeros(batch, 8, 1, 1)),
        TextFeatures(
            torch.randn(batch, 6, generator=random), torch.zeros(batch, 2, 6), tokens, tokens > 0
        ),
    )


def objective(duplicate_text: str) -> Convirt:
    torch.manual_seed(1)
    config = ConvirtConfig.model_validate({"duplicate_text": duplicate_text, "embedding_size": 16})
    return Convirt(config, TowerWidths(8, 8, 6, 6))


def test_convirt_negatives_is_the_papers_loss() -> None:
    paper, (images, texts) = objective("negatives"), features(4)
    expected, _, _ = contrastive_loss(
        paper.embed_images(images), paper.embed_texts(texts), 0.1, 0.75
    )
    torch.testing.assert_close(paper.loss(images, texts, 0.0).total, expected)


def test_convirt_masked_leaves_equal_sentences_out() -> None:
    images, texts = features(4)
    masked, paper = objective("masked"), objective("negatives")
    assert masked.loss(images, texts, 0.0).total < paper.loss(images, texts, 0.0).total


def test_convirt_embeddings_have_unit_norm() -> None:
    images, texts = features(4)
    torch.testing.assert_close(objective("masked").embed_images(images).norm(dim=1), torch.ones(4))
    torch.testing.assert_close(objective("masked").embed_texts(texts).norm(dim=1), torch.ones(4))


def test_convirt_terms_add_up_to_the_weighted_total() -> None:
    loss = objective("masked").loss(*features(4), progress=0.0)
    weighted = 0.75 * loss.terms["image_to_text"] + 0.25 * loss.terms["text_to_image"]
    torch.testing.assert_close(loss.total.detach(), weighted)
