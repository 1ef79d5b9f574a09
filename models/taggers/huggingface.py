"""HuggingfaceTagger: entities of reports by any token-classification checkpoint of transformers.

Read in this order: token_labels, token_classifier, this. Long reports are read in windows that
overlap; a token in two of them takes its label where it has more context.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForTokenClassification, AutoTokenizer

from models.devices import best_device
from models.engines import EngineInfo
from models.out_of_memory import is_out_of_memory
from models.taggers.configs import HuggingfaceConfig
from models.taggers.mentions import merge_mentions
from models.taggers.token_classifier import ClassifierFiles, find_classifier
from models.taggers.token_labels import Label, Span, entity_of, entity_spans, words_of
from models.vocabulary.concepts import load_vocabulary
from storage.errors import EngineOutOfMemory, EngineUnavailable
from storage.records import Entity

MAX_WINDOW_TOKENS = 512  # what encoders are trained with, whatever length they could take
OVERLAP_TOKENS = 64  # a few sentences, so that an entity at an edge has its context in one window
# Padded tokens of an engine batch; one that does not fit is halved, and the size remembered.
GPU_BATCH_TOKENS = 16_384
CPU_BATCH_TOKENS = 4_096  # beyond it a batch only takes longer

_OUTSIDE = Label(kind=None, begins=False)


@dataclass(frozen=True, slots=True)
class _Window:
    """Tokens of a text that are read together.

    Attributes:
        text: Position of the text among those asked for.
        token_ids: As the encoder takes them, special tokens included.
        spans: Characters of each token; None for special tokens.
        is_first, is_last: Of its text.
    """

    text: int
    token_ids: list[int]
    spans: list[Span | None]
    is_first: bool
    is_last: bool

    def first_tokens(self) -> Iterator[tuple[int, Span]]:
        """Positions and characters of tokens; of those that share a character the first."""
        previous: Span | None = None
        for position, span in enumerate(self.spans):
            if span is not None and span != previous:
                yield position, span
            previous = span

    def context(self, position: int) -> int:
        """Tokens between a token and the nearest edge at which the text was cut."""
        before = len(self.spans) if self.is_first else position
        after = len(self.spans) if self.is_last else len(self.spans) - 1 - position
        return min(before, after)


class HuggingfaceTagger:
    """Implements `EntityTagger`.

    Not deterministic in the factory's sense: scores round differently in other batches, so that a
    word on the verge between two labels may take the other one.
    """

    def __init__(self, config: HuggingfaceConfig) -> None:
        self.info = EngineInfo(config.kind, config.revision(), deterministic=False)
        found = find_classifier(config.model, config.hub_revision, config.labels)
        self._labels = found.labels
        self._vocabulary = load_vocabulary()
        self._device = best_device()
        self._tokenizer, self._model = _load(found, self._device)
        self._window_tokens = min(
            MAX_WINDOW_TOKENS,
            self._tokenizer.model_max_length,
            getattr(self._model.config, "max_position_embeddings", MAX_WINDOW_TOKENS),
        )
        on_gpu = self._device.type == "cuda"
        self._batch_tokens = GPU_BATCH_TOKENS if on_gpu else CPU_BATCH_TOKENS
        self._require_answers(found.folder)

    def tag(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Entities of each text, one per (text, kind family), in order of first mention.

        Known terms come under their canonical name. A term said both of present and of denied
        counts as present; none is uncertain, and none has a place.

        Raises:
            EngineOutOfMemory: If not even one window fits the device.
        """
        windows = self._windows(texts)
        tokens: list[dict[Span, tuple[int, Label]]] = [{} for _ in texts]
        for window, label_ids in self._predicted(windows):
            known = tokens[window.text]
            for position, span in window.first_tokens():
                context = window.context(position)
                if span not in known or known[span][0] < context:
                    known[span] = context, self._labels[label_ids[position]]
        return [self._entities(text, known) for text, known in zip(texts, tokens, strict=True)]

    def close(self) -> None:
        """Give back the device's memory."""
        del self._model
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _entities(self, text: str, tokens: dict[Span, tuple[int, Label]]) -> tuple[Entity, ...]:
        spans = sorted(tokens, key=lambda span: span.start)
        labels = [tokens[span][1] for span in spans]
        ends = [span.end for span in spans]
        words = ((word, _label_of(word, spans, ends, labels)) for word in words_of(text))
        mentions = (
            entity_of(text[span.start : span.end], kind, self._vocabulary)
            for span, kind in entity_spans(words)
        )
        return merge_mentions(entity for entity in mentions if entity is not None)

    def _windows(self, texts: Sequence[str]) -> list[_Window]:
        """Texts as tokens, cut into windows that overlap where they are too long for one."""
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._window_tokens,
            stride=min(OVERLAP_TOKENS, self._window_tokens // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        owners = encoded["overflow_to_sample_mapping"]
        return [
            _Window(
                text=owner,
                token_ids=encoded["input_ids"][row],
                spans=[
                    None if special else _trimmed(texts[owner], Span(*offsets))
                    for special, offsets in zip(
                        encoded["special_tokens_mask"][row],
                        encoded["offset_mapping"][row],
                        strict=True,
                    )
                ],
                is_first=row == 0 or owners[row - 1] != owner,
                is_last=row == len(owners) - 1 or owners[row + 1] != owner,
            )
            for row, owner in enumerate(owners)
        ]

    def _predicted(self, windows: Sequence[_Window]) -> Iterator[tuple[_Window, list[int]]]:
        """Windows with the label of each token, the longest first, in batches of like length."""
        waiting = sorted(windows, key=lambda window: len(window.token_ids), reverse=True)
        while waiting:
            size = max(1, self._batch_tokens // len(waiting[0].token_ids))
            batch, waiting = waiting[:size], waiting[size:]
            label_ids = self._classify([window.token_ids for window in batch])
            if label_ids is None:
                self._halve(batch)
                waiting = batch + waiting
                continue
            yield from zip(batch, label_ids, strict=True)

    def _classify(self, token_ids: Sequence[list[int]]) -> list[list[int]] | None:
        """The best label of each token; None where the batch does not fit the device."""
        padded = self._tokenizer.pad({"input_ids": token_ids}, return_tensors="pt")
        try:
            with torch.inference_mode():
                logits_BTL = self._model(**padded.to(self._device)).logits
                best_BT = logits_BTL.argmax(dim=-1).tolist()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None
        starts = [
            0 if self._tokenizer.padding_side == "right" else len(best_BT[0]) - len(ids)
            for ids in token_ids
        ]
        return [
            best[start : start + len(ids)]
            for best, ids, start in zip(best_BT, token_ids, starts, strict=True)
        ]

    def _halve(self, batch: Sequence[_Window]) -> None:
        # Outside the handler: the error's traceback holds the tensors that did not fit.
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if len(batch) == 1:
            raise EngineOutOfMemory(
                f"{len(batch[0].token_ids)} tokens do not fit the memory of {self._device}"
            )
        self._batch_tokens = len(batch[0].token_ids) * (len(batch) // 2)

    def _require_answers(self, folder: Path) -> None:
        """Read a full window once: a checkpoint that cannot is found before work is spent."""
        token_id = self._tokenizer.convert_tokens_to_ids(self._tokenizer.unk_token) or 0
        try:
            self._classify([[token_id] * self._window_tokens])
        except (IndexError, RuntimeError) as error:
            raise EngineUnavailable(
                f"the classifier in {folder} must read {self._window_tokens} tokens at once, got "
                f"{_one_line(error)}; set model_max_length in its tokenizer_config.json"
            ) from error


def _load(found: ClassifierFiles, device: torch.device) -> tuple[Any, Any]:
    """Tokenizer and classifier in evaluation mode, in float32: rounding moves labels."""
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(found.folder), local_files_only=True)
        model, loaded = AutoModelForTokenClassification.from_pretrained(
            str(found.folder),
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        model.to(device).eval()
    except Exception as error:
        raise EngineUnavailable(
            f"expected a token classifier that transformers {transformers.__version__} loads in "
            f"{found.folder}, got {_one_line(error)}"
        ) from error
    if loaded["missing_keys"]:
        raise EngineUnavailable(
            f"{found.folder} lacks weights, which would be drawn at random: "
            f"{', '.join(sorted(loaded['missing_keys'])[:3])}; copy the checkpoint whole"
        )
    if not tokenizer.is_fast:
        raise EngineUnavailable(
            f"the tokenizer in {found.folder} must say which characters a token is, got "
            f"{type(tokenizer).__name__}, which cannot; save it with a tokenizer.json"
        )
    return tokenizer, model


def _trimmed(text: str, span: Span) -> Span | None:
    """A token's characters without the spaces that some tokenizers count in; None for no other."""
    said = text[span.start : span.end]
    if not said.strip():
        return None
    start = span.start + len(said) - len(said.lstrip())
    return Span(start, start + len(said.strip()))


def _label_of(
    word: Span, spans: Sequence[Span], ends: Sequence[int], labels: Sequence[Label]
) -> Label:
    """The label of a word's first token, as classifiers are trained; outside where it has none."""
    first = bisect_right(ends, word.start)
    if first < len(spans) and spans[first].start < word.end:
        return labels[first]
    return _OUTSIDE


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
