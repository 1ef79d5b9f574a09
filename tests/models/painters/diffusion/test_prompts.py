"""Long prompts: cut at the end of a sentence, and counted."""

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.painters.diffusion.prompts import PromptFitter, Window, longest_beginning

TEXT = "The heart is normal in size. Small left pleural effusion. No pneumothorax, 1.5 cm node."


def _words(num_tokens: int) -> Window:
    return Window(num_tokens, lambda text: len(text.split()))


def test_fit_short_prompt_is_unchanged_and_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    fitter = PromptFitter([_words(15)])
    assert fitter.fit(TEXT) == TEXT
    assert (fitter.num_prompts, fitter.num_cut) == (1, 0)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("num_tokens", "kept"),
    [
        (14, "The heart is normal in size. Small left pleural effusion."),
        (10, "The heart is normal in size. Small left pleural effusion."),
        (9, "The heart is normal in size."),
        (5, "The heart is normal in"),
        (1, "The"),
    ],
)
def test_fit_keeps_whole_sentences_else_whole_words(num_tokens: int, kept: str) -> None:
    assert PromptFitter([_words(num_tokens)]).fit(TEXT) == kept


def test_fit_widest_window_decides() -> None:
    assert PromptFitter([_words(3), _words(15)]).fit(TEXT) == TEXT


def test_fit_warns_once_and_sums_up_without_the_text(caplog: pytest.LogCaptureFixture) -> None:
    fitter = PromptFitter([_words(9)])
    with caplog.at_level(logging.WARNING):
        for prompt in (TEXT, "Normal.", TEXT):
            fitter.fit(prompt)
    assert len(caplog.messages) == 1
    assert "heart" not in caplog.text
    assert fitter.summary().startswith("2 of 3 prompts were longer than the text encoder's window")
    assert "9 tokens" in fitter.summary()


@given(text=st.text(alphabet="ab .!?", max_size=60), most=st.integers(1, 20))
def test_longest_beginning_fits_and_no_longer_sentence_would(text: str, most: int) -> None:
    def holds(part: str) -> bool:
        return len(part.split()) <= most

    kept = longest_beginning(text, holds)
    assert text.startswith(kept)
    assert holds(kept)
    sentences = [text[: end.end()] for end in re.finditer(r"[.!?]+(?=\s)", text)]
    assert kept == text or not any(holds(part) for part in sentences if len(part) > len(kept))
