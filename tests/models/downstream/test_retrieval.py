from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.downstream.retrieval import (
    Direction,
    ImageTexts,
    RetrievalConfig,
    evaluate_retrieval,
    hit_probabilities,
)

CONFIG = RetrievalConfig(num_resamples=200)


class Reader:
    """An image's embedding is of the number it holds, a text's of the number it says."""

    def __init__(self, noise: float = 0.0) -> None:
        self._noise = noise
        self.read: list[str] = []

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return self._embed([int(image[0, 0]) for image in images], 1)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.read += texts
        return self._embed([int(text) for text in texts], 2)

    def knows(self, text: str) -> bool:
        return text.isdigit()

    def _embed(self, numbers: Sequence[int], seed: int) -> NDArray[np.float32]:
        rows = np.stack([np.random.default_rng(number).normal(size=16) for number in numbers])
        rows += self._noise * np.random.default_rng(seed).normal(size=rows.shape)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Constant(Reader):
    """Finds everything equally near."""

    def _embed(self, numbers: Sequence[int], seed: int) -> NDArray[np.float32]:
        return np.full((len(numbers), 4), 0.5, np.float32)


def numbered(numbers: Sequence[int]) -> ImageTexts:
    images = [np.full((2, 2), number, np.uint8) for number in numbers]
    groups = tuple(f"p{k // 2}" for k in range(len(numbers)))
    return ImageTexts("pairs", images, tuple(str(number) for number in numbers), groups)


def plain_recall(similarity: NDArray[np.float64], texts: Sequence[str], depth: int) -> float:
    """By sorting each row; for similarities without ties between different texts' best."""
    hits = []
    for query, row in enumerate(similarity):
        nearest = sorted(range(len(row)), key=lambda candidate: -row[candidate])[:depth]
        hits.append(any(texts[candidate] == texts[query] for candidate in nearest))
    return float(np.mean(hits))


def test_recall_is_that_of_sorting_every_row_both_ways() -> None:
    numbers = np.random.default_rng(0).integers(0, 200, 300)  # more than one block of queries
    pairs, model = numbered(numbers.tolist()), Reader(noise=1.0)
    result = evaluate_retrieval(model, pairs, CONFIG)
    assert list(result.figures()) == CONFIG.judgeable()
    images = model.encode_images(pairs.images).astype(float)
    unique = sorted(set(pairs.texts))
    rows = model.encode_texts(unique).astype(float)
    texts = rows[[unique.index(text) for text in pairs.texts]]
    for direction, similarity in (
        (Direction.IMAGE_TO_TEXT, images @ texts.T),
        (Direction.TEXT_TO_IMAGE, texts @ images.T),
    ):
        for recall in result.recalls[direction]:
            expected = plain_recall(similarity, pairs.texts, recall.depth)
            assert recall.figure.value == pytest.approx(expected)
            assert 0 < recall.chance < recall.figure.value < 1
            assert recall.figure.interval is not None
            assert recall.figure.interval.low <= expected <= recall.figure.interval.high


def test_ties_are_the_mean_over_every_order() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        similarity = random.integers(0, 3, 6).astype(float)
        relevant = random.random(6) < 0.4
        relevant[random.integers(6)] = True
        for depth in (1, 2, 5, 6):
            hits = []
            for order in permutations(range(6)):
                nearest = sorted(order, key=lambda candidate: -similarity[candidate])[:depth]
                hits.append(relevant[nearest].any())
            found = hit_probabilities(similarity[None], relevant[None], [depth])
            assert found.item() == pytest.approx(np.mean(hits))


def test_equal_texts_are_hits_of_each_other_and_are_read_once() -> None:
    pairs, model = numbered([1, 1, 1, 2, 3, 3]), Reader()
    result = evaluate_retrieval(model, pairs, CONFIG)
    assert model.read == ["1", "2", "3"]
    assert result.num_texts == 3
    assert [one.figure.value for one in result.recalls[Direction.IMAGE_TO_TEXT]] == [1, 1, 1]
    chance = result.recalls[Direction.TEXT_TO_IMAGE][0].chance
    assert chance == pytest.approx(np.mean([3 / 6] * 3 + [1 / 6] + [2 / 6] * 2))


def test_model_that_tells_nothing_apart_is_at_chance() -> None:
    result = evaluate_retrieval(Constant(), numbered([*range(30), *range(10)]), CONFIG)
    for recalls in result.recalls.values():
        for recall in recalls:
            assert recall.figure.value == pytest.approx(recall.chance)


def test_result_as_dict_names_depth_chance_and_interval() -> None:
    found = evaluate_retrieval(Reader(noise=1.0), numbered(list(range(40))), CONFIG).as_dict()
    assert set(found["image_to_text"]) == {"recall@1", "recall@5", "recall@10"}
    assert found["image_to_text"]["recall@10"]["chance"] == pytest.approx(10 / 40)
    assert len(found["text_to_image"]["recall@1"]["ci95"]) == 2
    assert found["num_patients"] == 20


def test_retrieval_without_two_texts_or_with_lost_ones_is_refused() -> None:
    with pytest.raises(ValueError, match="two different texts or more to tell apart, got 1 in 4"):
        evaluate_retrieval(Reader(), numbered([7, 7, 7, 7]), CONFIG)
    with pytest.raises(ValueError, match="for each of 1 images, got 0 and 1"):
        ImageTexts("x", [np.zeros((2, 2), np.uint8)], (), ("a",))
