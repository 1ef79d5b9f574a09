"""Prompts longer than the text encoder's window: cut where a sentence ends, and counted."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)

_SENTENCE_END = re.compile(r"[.!?;]+(?=\s)")
_WORD_END = re.compile(r"(?<=\S)(?=\s)")


@dataclass(frozen=True, slots=True)
class Window:
    """What one text encoder sees of a prompt.

    Attributes:
        num_tokens: Most tokens it takes, its marks for start and end included.
        count: Tokens of a text, those marks included.
    """

    num_tokens: int
    count: Callable[[str], int]

    def holds(self, text: str) -> bool:
        """True when the encoder sees the whole text."""
        return self.count(text) <= self.num_tokens


class PromptFitter:
    """Cuts prompts to what the pipeline's text encoders see, and counts how many it cut.

    A pipeline of several encoders sees what the widest window holds. Cut at a sentence's end
    rather than encoded in pieces: pieces would be a conditioning that the model never met in
    training, and the number of pieces would tie a sample to its batch mates.

    Args:
        windows: Of every text encoder, at least one.
    """

    def __init__(self, windows: Sequence[Window]) -> None:
        self._window = max(windows, key=lambda window: window.num_tokens)
        self.num_prompts = 0
        self.num_cut = 0

    def holds(self, text: str) -> bool:
        """True when an encoder sees the whole text; counts nothing."""
        return self._window.holds(text)

    def fit(self, prompt: str) -> str:
        """The prompt, or its longest beginning of whole sentences that an encoder sees whole.

        Where not even the first sentence fits, whole words of it; where not even the first word
        does, nothing is cut and the encoder sees that word's beginning. The same prompt always
        gives the same text.
        """
        self.num_prompts += 1
        if self.holds(prompt):
            return prompt
        self.num_cut += 1
        if self.num_cut == 1:
            logger.warning(
                "a prompt is longer than the text encoder's window of %d tokens; "
                "such prompts are cut at the end of a sentence, and counted",
                self._window.num_tokens,
            )
        return longest_beginning(prompt, self.holds)

    def summary(self) -> str:
        """How many prompts were cut, in one line; names none, since a text may be restricted."""
        return (
            f"{self.num_cut} of {self.num_prompts} prompts were longer than the text encoder's "
            f"window of {self._window.num_tokens} tokens and were cut at the end of a sentence"
        )


def longest_beginning(text: str, holds: Callable[[str], bool]) -> str:
    """The longest beginning that `holds` accepts: whole sentences, else whole words, else all."""
    for ends in (_SENTENCE_END, _WORD_END):
        for match in reversed(list(ends.finditer(text))):
            if holds(text[: match.end()]):
                return text[: match.end()]
    return text
