"""Plain arithmetic on lists and numpy rows, to write the papers' equations down term by term."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.vlp.objectives import ImageFeatures, TextFeatures, TowerWidths

Row = NDArray[np.float64]

WIDTHS = TowerWidths(image_pooled=7, image_local=5, text_pooled=6, text_local=4, num_regions=6)
# Texts of 1 to 4 words, some spelt in pieces; a special mark before and after the third.
WORDS = [[0, 1, 2, -1, -1, -1], [0, 0, 1, 2, 2, 3], [-1, 0, 0, 1, -1, -1], [0, -1, -1, -1, -1, -1]]


def some_features(seed: int = 0) -> tuple[ImageFeatures, TextFeatures]:
    """Four pairs in float64: maps of 2 x 3 regions, texts of up to 6 tokens."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    words = torch.tensor(WORDS)
    attention = torch.rand(words.shape, generator=random, dtype=torch.float64) + 0.01
    tokens = torch.arange(24).view(4, 6) + 2
    return (
        ImageFeatures(normal(4, 7), normal(4, 5, 2, 3)),
        TextFeatures(normal(4, 6), normal(4, 6, 4), tokens, words >= 0, words, attention),
    )


def with_more_padding(texts: TextFeatures, columns: int = 3) -> TextFeatures:
    """The same texts beside longer ones: more padding, with rubbish in it."""

    def padded(values: Tensor, filler: float) -> Tensor:
        shape = (values.shape[0], columns, *values.shape[2:])
        return torch.cat([values, torch.full(shape, filler, dtype=values.dtype)], dim=1)

    return replace(
        texts,
        local_BLC=padded(texts.local_BLC, 9.0),
        token_ids_BL=padded(texts.token_ids_BL, 0),
        mask_BL=padded(texts.mask_BL, 0),
        words_BL=padded(texts.words_BL, -1),
        attention_BL=padded(texts.attention_BL, 7.0),
    )


def with_other_special_marks(texts: TextFeatures) -> TextFeatures:
    """The same texts, whose tokens outside words hold something else."""
    outside = texts.words_BL < 0
    return replace(
        texts,
        local_BLC=torch.where(outside[..., None], -5.0, texts.local_BLC),
        attention_BL=torch.where(outside, 3.0, texts.attention_BL),
    )


def reordered(
    images: ImageFeatures, texts: TextFeatures, order: Sequence[int]
) -> tuple[ImageFeatures, TextFeatures]:
    chosen = list(order)
    return (
        ImageFeatures(images.pooled_BC[chosen], images.local_BCHW[chosen]),
        TextFeatures(
            texts.pooled_BC[chosen],
            texts.local_BLC[chosen],
            texts.token_ids_BL[chosen],
            texts.mask_BL[chosen],
            texts.words_BL[chosen],
            texts.attention_BL[chosen],
        ),
    )


def require_gradients(images: ImageFeatures, texts: TextFeatures) -> tuple[Tensor, ...]:
    """The four tensors that towers give, ready to be differentiated by."""
    inputs = (images.pooled_BC, images.local_BCHW, texts.pooled_BC, texts.local_BLC)
    return tuple(values.requires_grad_() for values in inputs)


def rows(values: Tensor) -> Row:
    array: Row = values.detach().numpy()
    return array


def linear(layer: nn.Module, row: Row) -> Row:
    assert isinstance(layer, nn.Linear)
    out = [float(np.dot(weights, row)) for weights in rows(layer.weight)]
    bias = [0.0] * len(out) if layer.bias is None else rows(layer.bias).tolist()
    return np.array([value + b for value, b in zip(out, bias, strict=True)])


def two_layers(head: nn.Sequential, row: Row) -> Row:
    hidden = linear(head[0], row)
    return linear(head[2], np.array([max(value, 0.0) for value in hidden]))


def unit(row: Row) -> Row:
    return row / math.sqrt(sum(float(value) ** 2 for value in row))


def cosine(one: Row, other: Row) -> float:
    return float(np.dot(unit(one), unit(other)))


def softmax(scores: Sequence[float]) -> list[float]:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def cross_entropy(scores: Sequence[float], target: int) -> float:
    return -math.log(softmax(scores)[target])


def both_ways(logits: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Mean cross-entropy of the rows' and of the columns' own entries."""
    count = len(logits)
    by_row = [cross_entropy(logits[i], i) for i in range(count)]
    by_column = [cross_entropy([logits[j][i] for j in range(count)], i) for i in range(count)]
    return sum(by_row) / count, sum(by_column) / count


def words_of(texts: TextFeatures, text: int) -> list[list[int]]:
    """Token positions of each word of one text."""
    numbers = texts.words_BL[text].tolist()
    return [
        [place for place, number in enumerate(numbers) if number == word]
        for word in range(max(numbers) + 1)
    ]


def word_rows(texts: TextFeatures, text: int) -> list[Row]:
    """The summed vector of each word of one text."""
    local = rows(texts.local_BLC)
    found = []
    for places in words_of(texts, text):
        total = np.zeros(local.shape[2])
        for place in places:
            total = total + local[text, place]
        found.append(total)
    return found


def region_rows(images: ImageFeatures, image: int) -> list[Row]:
    """The vector of each region of one image, top row first."""
    local = rows(images.local_BCHW)
    return [local[image, :, h, w] for h in range(local.shape[2]) for w in range(local.shape[3])]
