"""Words out of tokens: which tokens are pieces of one word, and the sum of what they hold.

Shape suffixes: B batch, L tokens, W words, C channels.
"""

import torch
from torch import Tensor

NO_WORD = -1


def number_words(starts_BL: Tensor, inside_BL: Tensor) -> Tensor:
    """Number of the word that each token is a piece of, from 0; -1 where it is of none, (B, L).

    A text without words has its first token for one: nothing divides by a count of zero.

    Args:
        starts_BL: True where a token begins a word, wherever it stands.
        inside_BL: True where a token is of some word: neither padding nor a special mark.
    """
    wordless_B1 = ~inside_BL.any(dim=1, keepdim=True)
    first_1L = torch.arange(inside_BL.shape[1], device=inside_BL.device)[None] == 0
    inside_BL = inside_BL | (wordless_B1 & first_1L)
    leading_BL = inside_BL.cumsum(dim=1) == 1  # a text may begin amid a word
    begins_BL = inside_BL & (starts_BL | leading_BL)
    return torch.where(inside_BL, begins_BL.cumsum(dim=1) - 1, NO_WORD)


def sum_pieces(values_BLC: Tensor, words_BL: Tensor) -> Tensor:
    """The sum over each word's pieces, (B, W, C); zero where a text has fewer than W words.

    Source: GLoRIA's and MGCA's public code both sum the vectors of a word's pieces.
    """
    number_W = torch.arange(int(words_BL.max()) + 1, device=words_BL.device)
    piece_of_BWL = words_BL[:, None] == number_W[None, :, None]
    return piece_of_BWL.to(values_BLC.dtype) @ values_BLC


def word_mask(words_BL: Tensor) -> Tensor:
    """True at the words a text has, (B, W)."""
    number_W = torch.arange(int(words_BL.max()) + 1, device=words_BL.device)
    return number_W <= words_BL.amax(dim=1, keepdim=True)
