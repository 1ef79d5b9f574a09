import torch

from models.vlp.tokenizer import WordTokenizer
from models.vlp.words import number_words, sum_pieces, word_mask

from .plain import WORDS


def test_number_words_counts_starts_and_skips_what_is_outside() -> None:
    starts = torch.tensor([[True, True, False, True, False, True]])
    inside = torch.tensor([[False, True, True, True, False, False]])
    assert number_words(starts, inside).tolist() == [[-1, 0, 0, 1, -1, -1]]


def test_number_words_text_that_begins_amid_a_word_still_has_a_first() -> None:
    starts = torch.tensor([[False, False, True]])
    assert number_words(starts, torch.ones(1, 3, dtype=torch.bool)).tolist() == [[0, 0, 1]]


def test_number_words_text_without_words_takes_its_first_token() -> None:
    inside = torch.tensor([[False, False], [True, False]])
    assert number_words(torch.ones(2, 2, dtype=torch.bool), inside).tolist() == [[0, -1], [0, -1]]


def test_sum_pieces_adds_the_pieces_of_each_word_alone() -> None:
    values = torch.arange(24, dtype=torch.float64).view(4, 6, 1)
    summed = sum_pieces(values, torch.tensor(WORDS))[..., 0]
    assert summed.tolist() == [[0, 1, 2, 0], [13, 8, 19, 11], [27, 15, 0, 0], [18, 0, 0, 0]]
    assert word_mask(torch.tensor(WORDS)).int().tolist() == [
        [1, 1, 1, 0],
        [1, 1, 1, 1],
        [1, 1, 0, 0],
        [1, 0, 0, 0],
    ]


def test_tokenizer_starts_tell_words_from_their_spelling() -> None:
    tokenizer = WordTokenizer.train(["no no effusion"], 10, 2)
    ids = torch.tensor(tokenizer.encode("no fun no"))
    starts = torch.from_numpy(tokenizer.starts())[ids]
    assert tokenizer.decode(ids.tolist()) == "no fun no"
    assert starts.tolist() == [True, True, False, False, True]
    assert not tokenizer.starts()[0]
