"""A word tokenizer learnt from the training reports; no downloads.

Text is lower-cased words and numbers, punctuation left out, so that "No effusion." in a report
and "no effusion" in a prompt are the same tokens. Words outside the vocabulary are spelt in
characters ("e ##f ##f"), so that a prompt with an unseen word still says something.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

PADDING, UNKNOWN = "[PAD]", "[UNK]"
PADDING_ID, UNKNOWN_ID = 0, 1
_CONTINUATION = "##"
_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_MEANT = re.compile(r"[^\W\d_]{3}")  # list marks ("1.") and stray letters are no sentence


def words(text: str) -> list[str]:
    """Lower-case words and numbers of a text, in order."""
    return _WORD.findall(text.lower())


def sentences(text: str) -> list[str]:
    """The sentences of a report section that hold a word of three letters or more, in order."""
    parts = (part.strip() for part in _SENTENCE_END.split(text))
    return [part for part in parts if _MEANT.search(part)]


def padded_rows(rows: Sequence[Sequence[int]], padding_id: int) -> NDArray[np.int64]:
    """Rows of ids filled up to the longest, (N, L) with L >= 1."""
    ids_NL = np.full((len(rows), max([1, *map(len, rows)])), padding_id, np.int64)
    for row, ids in zip(ids_NL, rows, strict=True):
        row[: len(ids)] = ids
    return ids_NL


class WordTokenizer:
    """Words to ids and back. Equal training text gives equal ids."""

    padding_id = PADDING_ID

    def __init__(self, vocabulary: Sequence[str]) -> None:
        if list(vocabulary[:2]) != [PADDING, UNKNOWN] or len(set(vocabulary)) != len(vocabulary):
            raise ValueError(
                f"vocabulary must begin with {PADDING}, {UNKNOWN} and have no doubles, "
                f"got {list(vocabulary[:3])!r}; take it from WordTokenizer.to_json"
            )
        self.vocabulary = tuple(vocabulary)
        self._ids = {token: index for index, token in enumerate(self.vocabulary)}

    @classmethod
    def train(cls, texts: Iterable[str], size: int, min_count: int) -> "WordTokenizer":
        """Learn a vocabulary: all characters seen, then the most frequent words.

        Args:
            texts: The training text.
            size: At most so many words; characters and the two marks come on top.
            min_count: Rarer words are spelt out.

        Raises:
            ValueError: If the texts hold no word.
        """
        counts = Counter(word for text in texts for word in words(text))
        if not counts:
            raise ValueError("the training text must hold words, got none; check the reports")
        letters = sorted({letter for word in counts for letter in word})
        spelling = letters + [_CONTINUATION + letter for letter in letters]
        by_frequency = sorted(counts, key=lambda word: (-counts[word], word))
        kept = [word for word in by_frequency if counts[word] >= min_count and len(word) > 1]
        return cls([PADDING, UNKNOWN, *spelling, *kept[:size]])

    def encode(self, text: str, max_tokens: int | None = None) -> list[int]:
        """Token ids of a text, cut at `max_tokens`."""
        ids = [token_id for word in words(text) for token_id in self._word_ids(word)]
        return ids[:max_tokens]

    def encode_batch(self, texts: Sequence[str], max_tokens: int) -> NDArray[np.int64]:
        """Token ids padded to the longest text, cut at `max_tokens`, (N, L) with L >= 1."""
        return padded_rows([self.encode(text, max_tokens) for text in texts], PADDING_ID)

    def decode(self, token_ids: Iterable[int]) -> str:
        """The words of some ids, joined by blanks; padding left out."""
        tokens = (self.vocabulary[token_id] for token_id in token_ids if token_id != PADDING_ID)
        return " ".join(tokens).replace(f" {_CONTINUATION}", "")

    def knows(self, word: str) -> bool:
        """True if the word is one token, so that training text held it."""
        return word.lower() in self._ids

    def starts(self) -> NDArray[np.bool_]:
        """True at every id that begins a word; False at padding and within spelt words, (V,)."""
        marks = (PADDING, _CONTINUATION)
        return np.array([not token.startswith(marks) for token in self.vocabulary])

    def outside(self) -> NDArray[np.bool_]:
        """True at padding, (V,)."""
        return np.array([token == PADDING for token in self.vocabulary])

    def to_json(self) -> str:
        """The vocabulary, to be stored in the checkpoint."""
        return json.dumps({"kind": "words", "vocabulary": self.vocabulary}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "WordTokenizer":
        """Inverse of `to_json`."""
        return cls(json.loads(text)["vocabulary"])

    def __len__(self) -> int:
        return len(self.vocabulary)

    def _word_ids(self, word: str) -> list[int]:
        if word in self._ids:
            return [self._ids[word]]
        pieces = [word[0], *(_CONTINUATION + letter for letter in word[1:])]
        return [self._ids.get(piece, UNKNOWN_ID) for piece in pieces]
