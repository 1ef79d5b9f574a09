import numpy as np
import pytest
import torch

from models.vlp.configs import PretrainingConfig
from models.vlp.model import VisionLanguageModel
from models.vlp.objectives import objective_config
from models.vlp.tokenizer import WordTokenizer


@pytest.fixture
def model(tiny_config: PretrainingConfig) -> VisionLanguageModel:
    torch.manual_seed(0)
    tokenizer = WordTokenizer.train(["no effusion large heart"], 10, 1)
    return VisionLanguageModel(tiny_config, tokenizer)


def pictures(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (40 + k, 50), dtype=np.uint8) for k in range(count)]


def test_encode_gives_unit_rows_in_order_whatever_the_batch(model: VisionLanguageModel) -> None:
    whole, parts = (model.encode_images(pictures(7), batch_size=size) for size in (7, 2))
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    texts = ["no effusion", "heart", "a word never seen"]
    np.testing.assert_allclose(
        model.encode_texts(texts), model.encode_texts(texts, batch_size=1), atol=1e-5
    )


def test_encode_leaves_a_training_model_training_and_its_statistics_alone(
    model: VisionLanguageModel,
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train().encode_images(pictures(3))
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_encode_nothing_gives_no_rows(model: VisionLanguageModel) -> None:
    assert len(model.encode_images([])) == 0
    assert len(model.encode_texts([])) == 0


def test_loss_of_several_text_draws_is_their_mean(model: VisionLanguageModel) -> None:
    model.eval()
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    first, second = torch.tensor([[3, 4], [5, 6], [7, 8]]), torch.tensor([[8, 7], [6, 5], [4, 3]])
    each = [model.loss(images, [ids], 0.0).total.item() for ids in (first, second)]
    both = model.loss(images, [first, second], 0.0).total.item()
    assert both == pytest.approx(sum(each) / 2, rel=1e-5)
    assert each[0] != pytest.approx(each[1], rel=1e-4)


def test_loss_in_bfloat16_is_near_that_in_float32(model: VisionLanguageModel) -> None:
    model.eval()
    images, ids = torch.rand(4, 1, 32, 32), torch.tensor([[3, 4], [5, 6], [7, 8], [9, 3]])
    wide, narrow = (
        model.loss(images, [ids], 0.0, precision) for precision in (torch.float32, torch.bfloat16)
    )
    assert narrow.total.dtype == torch.float32
    assert narrow.total.item() == pytest.approx(wide.total.item(), rel=0.02)


def test_knows_only_texts_whose_every_word_was_in_training(model: VisionLanguageModel) -> None:
    assert model.knows("No large effusion.")
    assert not model.knows("no pneumothorax")


def grounding_model(config: PretrainingConfig, kind: str) -> VisionLanguageModel:
    torch.manual_seed(0)
    objective = objective_config({"kind": kind, "embedding_size": 16})
    tokenizer = WordTokenizer.train(["no effusion large heart"], 10, 1)
    return VisionLanguageModel(config.model_copy(update={"objective": objective}), tokenizer)


@pytest.mark.parametrize("kind", ["gloria", "mgca"])
def test_similarity_map_is_of_the_towers_regions_and_the_texts_words(
    kind: str, tiny_config: PretrainingConfig
) -> None:
    model = grounding_model(tiny_config, kind)
    image = pictures(1)[0]
    heart, effusion = (model.similarity_map(image, text) for text in ("heart", "effusion"))
    assert heart.shape == (2, 2)  # narrow-resnet: 32 px / 16
    assert heart.dtype == np.float32
    assert np.abs(heart).max() <= 1 + 1e-6
    assert not np.allclose(heart, effusion)
    both = model.similarity_map(image, "heart heart")
    assert both.shape == heart.shape
    assert model.training


def test_similarity_map_follows_the_image(tiny_config: PretrainingConfig) -> None:
    """What lies at the top of the image moves the map's top row most."""
    model = grounding_model(tiny_config, "gloria")
    black, lit = np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)
    lit[:6, 4:28] = 255
    change = np.abs(model.similarity_map(lit, "heart") - model.similarity_map(black, "heart"))
    assert change[0].min() > change[1].max()


@pytest.mark.parametrize("kind", ["convirt", "clip", "gloria", "mgca"])
def test_gradient_map_of_any_objective_follows_text_and_image(
    kind: str, tiny_config: PretrainingConfig
) -> None:
    model = grounding_model(tiny_config, kind)
    first, second = pictures(2)
    heart, effusion, other = (
        model.gradient_map(image, text)
        for image, text in ((first, "heart"), (first, "effusion"), (second, "heart"))
    )
    assert heart.shape == (2, 2)  # narrow-resnet: 32 px / 16
    assert heart.dtype == np.float32
    assert not np.allclose(heart, effusion)
    assert not np.allclose(heart, other)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("kind", ["convirt", "clip"])
def test_similarity_map_of_a_model_without_regions_says_what_to_do(
    kind: str, tiny_config: PretrainingConfig
) -> None:
    with pytest.raises(ValueError, match=rf"\(gloria, mgca\), got {kind}; pre-train"):
        grounding_model(tiny_config, kind).similarity_map(pictures(1)[0], "heart")
