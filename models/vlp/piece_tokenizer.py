"""The tokenizer of a Hugging Face text model, kept whole so that a checkpoint needs no folder.

Shape suffixes: N texts, L tokens, V vocabulary.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.hub_models import hub_out_of_reach
from models.vlp.tokenizer import padded_rows
from storage.errors import EngineUnavailable

_BLANKS = ("Ġ", "▁")  # how byte-level BPE and SentencePiece write the blank before a word


class PieceTokenizer:
    """Words in pieces, with the marks that the model was trained with around each text."""

    def __init__(
        self, tokenizer: str, padding_id: int, special_ids: Sequence[int], unknown_id: int | None
    ) -> None:
        """Keep a tokenizer.

        Args:
            tokenizer: As `tokenizer.json` of the `tokenizers` library.
            padding_id: Fills a row.
            special_ids: Marks that are of no word, padding included.
            unknown_id: Stands for what has no pieces; None where everything has.
        """
        self.padding_id = padding_id
        self._json = tokenizer
        self._special_ids = sorted(special_ids)
        self._unknown_id = unknown_id
        self._tokenizer: Tokenizer = Tokenizer.from_str(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @classmethod
    def from_folder(cls, folder: Path) -> "PieceTokenizer":
        """The tokenizer of a model's folder; its code is never run.

        Raises:
            EngineUnavailable: If there is none, or it pads with nothing.
        """
        from transformers import AutoTokenizer

        try:
            with hub_out_of_reach():
                found = AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
            tokenizer: str = found.backend_tokenizer.to_str()
        except Exception as error:
            raise EngineUnavailable(
                f"{folder} must hold a tokenizer of transformers, got: "
                f"{' '.join(str(error).split())}; copy it beside the weights"
            ) from error
        if found.pad_token_id is None:
            raise EngineUnavailable(
                f"{folder} must hold a tokenizer with a padding token, got "
                f"{type(found).__name__} without; name a model that reads text both ways"
            )
        marks = (found.pad_token_id, found.cls_token_id, found.sep_token_id,
                 found.bos_token_id, found.eos_token_id)  # fmt: skip
        special = {mark for mark in marks if mark is not None}
        return cls(tokenizer, found.pad_token_id, sorted(special), found.unk_token_id)

    def encode(self, text: str, max_tokens: int) -> list[int]:
        """Token ids of a text, marks included; a longer text loses its end, not its marks."""
        self._tokenizer.enable_truncation(max_tokens)
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def encode_batch(self, texts: Sequence[str], max_tokens: int) -> NDArray[np.int64]:
        """Token ids padded to the longest text, (N, L) with L >= 1."""
        return padded_rows([self.encode(text, max_tokens) for text in texts], self.padding_id)

    def knows(self, word: str) -> bool:
        """True if every letter of the word is in some piece."""
        self._tokenizer.no_truncation()
        return self._unknown_id not in self._tokenizer.encode(word).ids

    def starts(self) -> NDArray[np.bool_]:
        """True at every id that begins a word, (V,)."""
        begins = _begins_word(json.loads(self._json)["model"])
        flags = np.zeros(self._num_ids(), bool)
        for token, token_id in self._tokenizer.get_vocab().items():
            flags[token_id] = begins(token)
        return flags

    def outside(self) -> NDArray[np.bool_]:
        """True at the special marks, (V,)."""
        flags = np.zeros(self._num_ids(), bool)
        flags[self._special_ids] = True
        return flags

    def to_json(self) -> str:
        """The whole tokenizer, to be stored in the checkpoint."""
        return json.dumps(
            {
                "kind": "pieces",
                "tokenizer": self._json,
                "padding_id": self.padding_id,
                "special_ids": self._special_ids,
                "unknown_id": self._unknown_id,
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> "PieceTokenizer":
        """Inverse of `to_json`."""
        stored = json.loads(text)
        return cls(
            stored["tokenizer"], stored["padding_id"], stored["special_ids"], stored["unknown_id"]
        )

    def _num_ids(self) -> int:
        return 1 + max(self._tokenizer.get_vocab().values())


def _begins_word(model: dict[str, object]) -> Callable[[str], bool]:
    """Whether a token begins a word, told by how this kind of model spells."""
    if model["type"] == "WordPiece":
        within = str(model["continuing_subword_prefix"])
        return lambda token: not token.startswith(within)
    if model["type"] == "WordLevel":
        return lambda _: True
    return lambda token: token.startswith(_BLANKS)
