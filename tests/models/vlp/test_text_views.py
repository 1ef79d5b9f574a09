import numpy as np
import pytest

from models.vlp.data import PairTexts
from models.vlp.text_views import TextViews, views_of
from models.vlp.tokenizer import WordTokenizer


def texts(findings: str, impression: str) -> PairTexts:
    return PairTexts(np.array([0]), ("a",), (findings,), (impression,))


def test_views_of_sentence_are_all_sentences_of_both_sections() -> None:
    report = texts("No effusion. Heart normal.", "Nothing acute.")
    assert views_of(report, "sentence") == [["No effusion.", "Heart normal.", "Nothing acute."]]


def test_views_of_report_is_one_text() -> None:
    report = texts("No effusion. Heart normal.", "Nothing acute.")
    assert views_of(report, "report") == [["No effusion. Heart normal. Nothing acute."]]


def test_views_of_report_without_words_names_the_sample() -> None:
    with pytest.raises(ValueError, match="sample a has findings '--'"):
        views_of(texts("--", ""), "sentence")


def test_draw_is_uniform_over_the_sentences_of_the_right_report() -> None:
    views = [["no effusion", "normal heart", "clear lungs"], ["large mass"]]
    tokenizer = WordTokenizer.train([text for report in views for text in report], 100, 1)
    drawn = TextViews(views, tokenizer, 8).draw(
        np.repeat([0, 1], [3000, 50]), np.random.default_rng(0)
    )
    said = [tokenizer.decode(row) for row in drawn]
    assert set(said[3000:]) == {"large mass"}
    counts = [said[:3000].count(text) for text in views[0]]
    assert sum(counts) == 3000
    assert min(counts) > 900


def test_draw_cuts_at_max_tokens_and_pads() -> None:
    views = [["small left pleural effusion"], ["heart"]]
    tokenizer = WordTokenizer.train([text for report in views for text in report], 100, 1)
    drawn = TextViews(views, tokenizer, 3).draw(np.array([0, 1]), np.random.default_rng(0))
    assert [tokenizer.decode(row) for row in drawn] == ["small left pleural", "heart"]
    assert drawn.shape == (2, 3)
