import pytest
import torch

from models.vlp.configs import ImageTowerConfig, TextTowerConfig
from models.vlp.tokenizer import WordTokenizer
from models.vlp.towers import TextTower, build_image_tower, image_channels


def tokenizer() -> WordTokenizer:
    """Ids: 0 padding, 1 unknown, 2 to 4 letters, 5 to 7 letters within a word, 8 and 9 words."""
    return WordTokenizer.train(["ab bc"], 10, 1)


@pytest.mark.parametrize(
    ("name", "pooled", "local", "regions"),
    [
        ("narrow-resnet", 128, 64, 16),
        ("timm/resnet10t", 512, 512, 4),
        ("timm/vit_tiny_patch16_224", 192, 192, 16),
        ("open_clip/RN50", 1024, 2048, 4),
    ],
)
def test_image_tower_gives_a_vector_and_a_map(
    name: str, pooled: int, local: int, regions: int
) -> None:
    tower = build_image_tower(ImageTowerConfig(name=name, image_size_px=64, width=8))
    assert image_channels(tower, 64) == (pooled, local, regions)
    with torch.no_grad():
        seen = tower.eval()(torch.zeros(2, 1, 64, 64))
    assert seen.pooled_BC.shape == (2, pooled)
    assert seen.local_BCHW.shape[:2] == (2, local)
    assert seen.local_BCHW.shape[2] == seen.local_BCHW.shape[3]


@pytest.mark.parametrize("name", ["timm/resnet51", "open_clip/RN51"])
def test_image_tower_unknown_model_suggests_some(name: str) -> None:
    with pytest.raises(ValueError, match=r"image tower must be a model of .*got '.*51'; try "):
        build_image_tower(ImageTowerConfig(name=name))


def test_image_channels_leaves_the_tower_as_it_was() -> None:
    tower = build_image_tower(ImageTowerConfig(width=8)).train()
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    image_channels(tower, 64)
    assert tower.training
    assert all(torch.equal(before[name], value) for name, value in tower.state_dict().items())


def test_text_tower_padding_does_not_change_the_vector() -> None:
    torch.manual_seed(0)
    tower = TextTower(TextTowerConfig(width=16, num_layers=2, num_heads=2), tokenizer()).eval()
    short = tower(torch.tensor([[3, 4, 5]])).pooled_BC
    padded = tower(torch.tensor([[3, 4, 5, 0, 0], [3, 4, 5, 6, 7]])).pooled_BC
    torch.testing.assert_close(short[0], padded[0])
    assert not torch.allclose(padded[0], padded[1])


def test_text_tower_word_order_matters() -> None:
    torch.manual_seed(0)
    tower = TextTower(TextTowerConfig(width=16, num_layers=1, num_heads=2), tokenizer()).eval()
    pooled = tower(torch.tensor([[3, 4], [4, 3]])).pooled_BC
    assert not torch.allclose(pooled[0], pooled[1])


def test_text_tower_text_without_words_is_finite() -> None:
    tower = TextTower(TextTowerConfig(width=16, num_layers=1, num_heads=2), tokenizer()).eval()
    assert torch.isfinite(tower(torch.zeros(2, 3, dtype=torch.long)).pooled_BC).all()


def test_text_tower_numbers_words_and_weighs_real_tokens_alike() -> None:
    tower = TextTower(TextTowerConfig(width=16, num_layers=1, num_heads=2), tokenizer()).eval()
    read = tower(torch.tensor([[8, 2, 6, 9], [9, 0, 0, 0], [0, 0, 0, 0]]))
    assert read.words_BL.tolist() == [[0, 1, 1, 2], [0, -1, -1, -1], [0, -1, -1, -1]]
    assert read.mask_BL.tolist() == (read.words_BL >= 0).tolist()
    torch.testing.assert_close(read.attention_BL[:2, 0], torch.tensor([0.25, 1.0]))
    assert (read.attention_BL[1:, 1:] == 0).all()
