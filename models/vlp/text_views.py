"""Which text stands beside each image in a step: a sentence drawn uniformly, or the report.

Texts are tokenised once; a report's sentences lie behind each other in one flat array, so that
a set of hundreds of thousands of reports takes megabytes, not gigabytes.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.vlp.data import PairTexts
from models.vlp.text_tokenizers import TextTokenizer
from models.vlp.tokenizer import sentences


class TextViews:
    """Token ids of every view of every report. Source of the draw: ConVIRT, section 3.3."""

    def __init__(
        self, views: Sequence[Sequence[str]], tokenizer: TextTokenizer, max_tokens: int
    ) -> None:
        encoded = [tokenizer.encode(text, max_tokens) for report in views for text in report]
        self._padding_id = tokenizer.padding_id
        self._first_view: NDArray[np.int64] = np.cumsum([0, *map(len, views)])
        self._first_token: NDArray[np.int64] = np.cumsum([0, *map(len, encoded)])
        self._tokens: NDArray[np.int32] = np.fromiter(chain.from_iterable(encoded), np.int32)

    def __len__(self) -> int:
        return len(self._first_view) - 1

    def draw(self, pairs: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """One view of each pair's report, uniformly, padded token ids (B, L)."""
        first, count = (
            self._first_view[pairs],
            self._first_view[pairs + 1] - self._first_view[pairs],
        )
        chosen = first + (random.random(len(pairs)) * count).astype(np.int64)
        starts, ends = self._first_token[chosen], self._first_token[chosen + 1]
        positions_BL = starts[:, None] + np.arange(max(1, (ends - starts).max()))
        inside_BL = positions_BL < ends[:, None]
        last = len(self._tokens) - 1
        tokens_BL: NDArray[np.int64] = self._tokens[np.minimum(positions_BL, last)].astype(np.int64)
        tokens_BL[~inside_BL] = self._padding_id
        return tokens_BL


def views_of(texts: PairTexts, view: Literal["sentence", "report"]) -> list[list[str]]:
    """All views of each report, at least one each.

    Raises:
        ValueError: If a report has no readable sentence; names the sample.
    """
    views = []
    for sample_id, findings, impression in zip(
        texts.sample_ids, texts.findings, texts.impressions, strict=True
    ):
        found = [*sentences(findings), *sentences(impression)]
        if not found:
            raise ValueError(
                f"every report must have a sentence to pair with its image, sample {sample_id} "
                f"has findings {findings!r}; leave it out of the release"
            )
        views.append(found if view == "sentence" else [" ".join(found)])
    return views
