import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vlp.tokenizer import PADDING_ID, UNKNOWN_ID, WordTokenizer, sentences, words

REPORTS = ["No pleural effusion. Heart size is normal.", "No effusion; small left pneumothorax."]


def tokenizer() -> WordTokenizer:
    return WordTokenizer.train(REPORTS, size=100, min_count=1)


@given(st.text(alphabet=sorted(set("".join(REPORTS).lower()) - set(" .;")), min_size=1))
def test_tokenizer_any_word_of_known_letters_round_trips(word: str) -> None:
    assert tokenizer().decode(tokenizer().encode(f"no {word} left")) == f"no {word} left"


@given(st.text(max_size=60))
def test_tokenizer_any_text_gives_ids_of_the_vocabulary(text: str) -> None:
    learnt = tokenizer()
    assert all(0 < token_id < len(learnt) for token_id in learnt.encode(text))


def test_tokenizer_reports_round_trip_as_their_words() -> None:
    for report in REPORTS:
        assert tokenizer().decode(tokenizer().encode(report)) == " ".join(words(report))


def test_tokenizer_prompt_and_sentence_with_stop_are_the_same_tokens() -> None:
    assert tokenizer().encode("No pleural effusion.") == tokenizer().encode("no pleural effusion")


def test_tokenizer_rare_word_is_spelt_and_unseen_letter_unknown() -> None:
    learnt = WordTokenizer.train(["no no effusion"], size=100, min_count=2)
    assert learnt.encode("no") != [UNKNOWN_ID]
    assert len(learnt.encode("effusion")) == len("effusion")
    assert learnt.decode(learnt.encode("effusion")) == "effusion"
    assert learnt.encode("x") == [UNKNOWN_ID]


def test_tokenizer_size_keeps_the_most_frequent_words() -> None:
    learnt = WordTokenizer.train(["left left left right right heart"], size=2, min_count=1)
    assert (learnt.knows("left"), learnt.knows("right"), learnt.knows("heart")) == (
        True,
        True,
        False,
    )


def test_tokenizer_json_round_trip_keeps_every_id() -> None:
    again = WordTokenizer.from_json(tokenizer().to_json())
    assert again.vocabulary == tokenizer().vocabulary


def test_tokenizer_order_of_reports_changes_nothing() -> None:
    assert WordTokenizer.train(REPORTS[::-1], 100, 1).vocabulary == tokenizer().vocabulary


def test_tokenizer_batch_is_padded_and_cut() -> None:
    ids = tokenizer().encode_batch(["no effusion", "no", "heart size is normal"], max_tokens=3)
    assert ids.shape == (3, 3)
    assert ids[1].tolist()[1:] == [PADDING_ID, PADDING_ID]


def test_tokenizer_without_words_raises() -> None:
    with pytest.raises(ValueError, match="must hold words, got none"):
        WordTokenizer.train(["...", ""], size=10, min_count=1)


def test_tokenizer_strange_vocabulary_raises() -> None:
    with pytest.raises(ValueError, match="must begin with"):
        WordTokenizer(["heart", "lung"])


def test_sentences_keep_measures_and_drop_list_marks() -> None:
    text = "1. A 1.5 cm nodule is seen.\n2. No effusion; no pneumothorax. Dr. X."
    assert sentences(text) == ["A 1.5 cm nodule is seen.", "No effusion;", "no pneumothorax."]
