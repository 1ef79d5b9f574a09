"""The seam between text and a text tower: what a tokenizer must offer, and how one is stored.

Two stand behind it: words learnt from the training reports (`tokenizer.py`), and the pieces of a
Hugging Face text model (`piece_tokenizer.py`). Shape suffixes: N texts, L tokens, V vocabulary.
"""

import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.vlp.piece_tokenizer import PieceTokenizer
from models.vlp.tokenizer import WordTokenizer


class TextTokenizer(Protocol):
    """Text to token ids, special marks included where its tower wants them."""

    @property
    def padding_id(self) -> int:
        """What fills a row after its text."""
        ...

    def encode(self, text: str, max_tokens: int) -> list[int]:
        """Token ids of a text, at most so many."""
        ...

    def encode_batch(self, texts: Sequence[str], max_tokens: int) -> NDArray[np.int64]:
        """Token ids padded to the longest text, (N, L) with L >= 1."""
        ...

    def knows(self, word: str) -> bool:
        """True if nothing of a word is unknown to it."""
        ...

    def starts(self) -> NDArray[np.bool_]:
        """True at every id that begins a word, (V,)."""
        ...

    def outside(self) -> NDArray[np.bool_]:
        """True at every id that is of no word: padding and special marks, (V,)."""
        ...

    def to_json(self) -> str:
        """All of it, to be stored in the checkpoint, its `kind` included."""
        ...


def tokenizer_from_json(text: str) -> TextTokenizer:
    """Inverse of `to_json`.

    Raises:
        ValueError: If the kind is unknown.
    """
    kind = json.loads(text)["kind"]
    if kind == "words":
        return WordTokenizer.from_json(text)
    if kind == "pieces":
        return PieceTokenizer.from_json(text)
    raise ValueError(f"tokenizer must be of kind words or pieces, got {kind!r}; update the factory")
