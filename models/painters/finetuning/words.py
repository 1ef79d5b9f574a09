"""A word-level tokenizer of the captions' own words, saved like any other tokenizer."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from models.painters.finetuning.captions import Subject, draw_caption, full_caption

PADDING, UNKNOWN, BEGIN, END = "[PAD]", "[UNK]", "[BOS]", "[EOS]"
_DRAWS = 32  # captions drawn of every subject to see the words they can hold
_SPLIT = pre_tokenizers.Whitespace()  # words and punctuation apart


def build_tokenizer(
    subjects: Sequence[Subject], max_tokens: int, random: np.random.Generator
) -> PreTrainedTokenizerFast:
    """Every word that the captions of these subjects can hold; all others are [UNK].

    Args:
        subjects: What the captions speak of.
        max_tokens: Longer prompts are cut here; shorter ones padded by the pipeline.
        random: Draws the captions.
    """
    counts: Counter[str] = Counter()
    for subject in subjects:
        drawn = [draw_caption(subject, random) for _ in range(_DRAWS)]
        for text in (full_caption(subject), *drawn):
            counts.update(word for word, _ in _SPLIT.pre_tokenize_str(text.lower()))
    words = sorted(counts, key=lambda word: (-counts[word], word))
    vocabulary = {word: index for index, word in enumerate([PADDING, UNKNOWN, BEGIN, END, *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = _SPLIT
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BEGIN} $A {END}",
        special_tokens=[(BEGIN, vocabulary[BEGIN]), (END, vocabulary[END])],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=max_tokens,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
    )
