"""Image and text towers. Each gives one pooled vector and local ones per input.

Shape suffixes: B batch, C channels, S image side, H and W feature-map sides, L tokens.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from models.vlp.configs import ImageTowerConfig, TextTowerConfig
from models.vlp.huggingface_text import (
    HuggingfaceTextTower,
    find_text_model,
    pretrained_tower,
    restored_trunk,
)
from models.vlp.narrow_resnet import NarrowResNet
from models.vlp.objectives import ImageFeatures, TextFeatures
from models.vlp.piece_tokenizer import PieceTokenizer
from models.vlp.text_tokenizers import TextTokenizer
from models.vlp.tokenizer import PADDING_ID, WordTokenizer
from models.vlp.words import number_words


class TimmTower(nn.Module):
    """Any timm model with a feature map or patch tokens."""

    def __init__(self, name: str, config: ImageTowerConfig) -> None:
        super().__init__()
        self.trunk = _timm_trunk(name, config)

    def forward(self, images_B1SS: Tensor) -> ImageFeatures:
        """The last map, and timm's own pooling of it."""
        last, maps = self.trunk.forward_intermediates(images_B1SS, indices=1)
        return ImageFeatures(self.trunk.forward_head(last, pre_logits=True), maps[-1])


class OpenClipTower(nn.Module):
    """The image half of any open_clip model; the grey image fills its three channels."""

    def __init__(self, name: str, config: ImageTowerConfig) -> None:
        super().__init__()
        self.trunk = _open_clip_trunk(name, config)

    def forward(self, images_B1SS: Tensor) -> ImageFeatures:
        """The map before pooling, and open_clip's own image feature."""
        seen = self.trunk.forward_intermediates(images_B1SS.expand(-1, 3, -1, -1), indices=1)
        return ImageFeatures(seen["image_features"], seen["image_intermediates"][-1])


class TextTower(nn.Module):
    """A pre-norm transformer over words; the pooled vector is the mean over real tokens."""

    starts_V: Tensor
    architecture = ""  # the config says all

    def __init__(self, config: TextTowerConfig, tokenizer: WordTokenizer) -> None:
        super().__init__()
        self.width = config.width
        self.register_buffer("starts_V", torch.from_numpy(tokenizer.starts()), persistent=False)
        self.tokens = nn.Embedding(len(tokenizer), config.width, padding_idx=PADDING_ID)
        self.positions = nn.Parameter(torch.zeros(config.max_tokens, config.width))
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.num_heads,
            4 * config.width,
            config.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, config.num_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, token_ids_BL: Tensor) -> TextFeatures:
        """Features of padded token ids, (B, L) with L at most `max_tokens`."""
        inside_BL = token_ids_BL != PADDING_ID
        words_BL = number_words(self.starts_V[token_ids_BL], inside_BL)
        mask_BL = words_BL >= 0  # a text without words still gives a vector
        embedded_BLC = self.tokens(token_ids_BL) + self.positions[: token_ids_BL.shape[1]]
        local_BLC = self.norm(self.layers(embedded_BLC, src_key_padding_mask=~mask_BL))
        real_BL1 = mask_BL.unsqueeze(-1).to(local_BLC.dtype)
        even_BL1 = real_BL1 / real_BL1.sum(dim=1, keepdim=True)
        pooled_BC = (local_BLC * real_BL1).sum(dim=1) / real_BL1.sum(dim=1)
        return TextFeatures(
            pooled_BC, local_BLC, token_ids_BL, mask_BL, words_BL, even_BL1.squeeze(-1)
        )


def build_image_tower(config: ImageTowerConfig) -> nn.Module:
    """The tower a config names: images (B, 1, S, S) in -1..1 to `ImageFeatures`.

    Raises:
        ValueError: If the library does not know the model or cannot build it at this size.
    """
    library, _, name = config.name.partition("/")
    if library == "timm":
        return TimmTower(name, config)
    if library == "open_clip":
        return OpenClipTower(name, config)
    return NarrowResNet(config.width, config.blocks_per_stage)


def build_text_tower(
    config: TextTowerConfig, tokenizer: TextTokenizer, architecture: str
) -> TextTower | HuggingfaceTextTower:
    """The tower a config names, for the ids of its tokenizer.

    Args:
        config: Names the tower.
        tokenizer: What `build_tokenizer` gave for the same config.
        architecture: Of a Hugging Face tower whose weights a checkpoint brings; empty: the
            folder that the config names gives architecture and weights.

    Raises:
        EngineUnavailable: If that folder is missing or no text model.
        ValueError: If the text model has fewer positions than `max_tokens`.
    """
    if isinstance(tokenizer, WordTokenizer):
        return TextTower(config, tokenizer)
    assert isinstance(tokenizer, PieceTokenizer)
    if architecture:
        return HuggingfaceTextTower(restored_trunk(architecture), tokenizer)
    return pretrained_tower(config.huggingface_model, tokenizer, config.max_tokens)


def build_tokenizer(config: TextTowerConfig, texts: Iterable[str]) -> TextTokenizer:
    """The tokenizer of a text tower: learnt from the training text, or a text model's own.

    Raises:
        EngineUnavailable: If the text model is missing or has none.
        ValueError: If it must be learnt and the texts hold no word.
    """
    if config.huggingface_model:
        return PieceTokenizer.from_folder(find_text_model(config.huggingface_model))
    return WordTokenizer.train(texts, config.vocabulary_size, config.min_count)


@torch.no_grad()
def image_channels(tower: nn.Module, image_size_px: int) -> tuple[int, int, int]:
    """Widths of a tower's pooled and local features, and regions of its map.

    Found by showing it one blank image.
    """
    was_training = tower.training
    seen: ImageFeatures = tower.eval()(torch.zeros(1, 1, image_size_px, image_size_px))
    tower.train(was_training)
    num_regions = seen.local_BCHW.shape[2] * seen.local_BCHW.shape[3]
    return seen.pooled_BC.shape[1], seen.local_BCHW.shape[1], num_regions


def _timm_trunk(name: str, config: ImageTowerConfig) -> Any:
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:6]}*")[:5]) or "timm.list_models()"
        raise ValueError(f"image tower must be a model of timm, got {name!r}; try {near}")
    tagged = f"{name}.{config.pretrained_tag}" if config.pretrained_tag else name
    settings: dict[str, Any] = {
        "pretrained": config.pretrained_tag is not None,
        "in_chans": 1,
        "num_classes": 0,
    }
    if timm.models.is_model_in_modules(
        name, {"vision_transformer", "deit", "swin_transformer", "beit"}
    ):
        settings["img_size"] = config.image_size_px  # position embeddings are made for one size
    return timm.create_model(tagged, **settings)


def _open_clip_trunk(name: str, config: ImageTowerConfig) -> Any:
    import open_clip

    if name not in open_clip.list_models():
        near = ", ".join(open_clip.list_models()[:5])
        raise ValueError(f"image tower must be a model of open_clip, got {name!r}; try {near}")
    model = open_clip.create_model(
        name, pretrained=config.pretrained_tag, force_image_size=config.image_size_px
    )
    return model.visual
