"""The kept hashes so far, asked for the nearest: few by comparing all, many by bands of bits.

Two hashes at most d bits apart differ, in one of B bands of bits at least, by at most d // B bits
(the pigeonhole principle; Norouzi et al. 2012, "Fast search in Hamming space with multi-index
hashing"). So a hash need be compared only with those that have nearly the same bits in some band,
which a table per band finds. Bits are dealt out to bands in turn, since neighbours are alike.
Legend: N samples, Q of them asked together, W = 4 words of a hash, B bands, F probes per hash.
"""

from itertools import combinations
from math import comb
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SIGNATURE_BITS = 256
FAR = np.iinfo(np.int64).max  # the key of no kept hash
_EMPTY = -1
_BAND_BITS = range(8, 21)  # a table of 2^bits slots for each band
_MOST_PROBES = 4096  # per hash; bounds memory
_COMPARED_PER_PROBE = 8  # hashes compared in a row in the time of one probe of a table

Words = NDArray[np.uint64]


class KeptHashes(Protocol):
    """Hashes kept so far, by rank among all."""

    def nearest(self, ranks_Q: NDArray[np.intp]) -> NDArray[np.int64]:
        """A key per asked hash, distance · 2^32 + rank of the nearest kept; `FAR` for none."""
        ...

    def keep(self, ranks: NDArray[np.intp]) -> None:
        """Keep these, which come after all that are kept."""
        ...


def kept_hashes(words_NW: Words, max_distance: int) -> KeptHashes:
    """An empty set that will hold some of these hashes, by whatever finds the near ones fastest."""
    bands = [(_cost(bits, max_distance, len(words_NW)), bits) for bits in _BAND_BITS]
    cost, bits = min(bands)
    if cost >= len(words_NW) / _COMPARED_PER_PROBE:
        return ScannedHashes(words_NW, max_distance)
    return BandedHashes(words_NW, max_distance, bits)


def distances(one_NW: Words, other_NW: Words) -> NDArray[np.int64]:
    """Bits in which pairs of hashes differ."""
    apart: NDArray[np.int64] = np.bitwise_count(one_NW ^ other_NW).sum(axis=1, dtype=np.int64)
    return apart


def _cost(bits: int, max_distance: int, num_hashes: int) -> float:
    """Probes, and comparisons of what they find, per hash; infinite beyond the bound of memory."""
    num_bands = SIGNATURE_BITS // bits
    num_probes = num_bands * sum(
        comb(bits, flips) for flips in range(max_distance // num_bands + 1)
    )
    if num_probes > _MOST_PROBES:
        return float("inf")
    return num_probes * (1 + 3 * num_hashes / (1 << bits))


class ScannedHashes:
    """All kept hashes are compared: two within the distance differ no more in their first word."""

    def __init__(self, words_NW: Words, max_distance: int) -> None:
        self._words_NW = words_NW
        self._max_distance = max_distance
        self._ranks = np.empty(len(words_NW), np.intp)
        self._first_words = np.empty(len(words_NW), np.uint64)
        self._num_kept = 0

    def nearest(self, ranks_Q: NDArray[np.intp]) -> NDArray[np.int64]:
        """As the protocol says."""
        keys_Q = np.full(len(ranks_Q), FAR)
        first_words = self._first_words[: self._num_kept]
        for query, words_W in enumerate(self._words_NW[ranks_Q]):
            rows = np.flatnonzero(np.bitwise_count(first_words ^ words_W[0]) <= self._max_distance)
            if rows.size:
                ranks = self._ranks[rows]
                apart = distances(self._words_NW[ranks], words_W[None])
                _lower(keys_Q, np.full(len(rows), query), ranks, apart, self._max_distance)
        return keys_Q

    def keep(self, ranks: NDArray[np.intp]) -> None:
        """As the protocol says."""
        new = slice(self._num_kept, self._num_kept + len(ranks))
        self._ranks[new] = ranks
        self._first_words[new] = self._words_NW[ranks, 0]
        self._num_kept += len(ranks)


class BandedHashes:
    """Per band, a table from its bits to the last kept hash that has them, chained to those before.

    The place of a hash in the chains of a band is an entry: band · 2^k + rank, with 2^k ≥ N.
    """

    def __init__(self, words_NW: Words, max_distance: int, bits: int) -> None:
        self._words_NW = words_NW
        self._max_distance = max_distance
        self._bits = bits
        self._num_bands = SIGNATURE_BITS // bits
        self._rank_bits = len(words_NW).bit_length()
        self._head = np.full(self._num_bands << bits, _EMPTY, np.int32)
        self._before = np.full(self._num_bands << self._rank_bits, _EMPTY, np.int32)
        self._flips_F = _flips(bits, max_distance // self._num_bands)

    def nearest(self, ranks_Q: NDArray[np.intp]) -> NDArray[np.int64]:
        """As the protocol says."""
        keys_Q = np.full(len(ranks_Q), FAR)
        first_words_Q = self._words_NW[ranks_Q, 0]
        slots = self._slots(ranks_Q)
        query = np.repeat(np.arange(len(ranks_Q)), self._num_bands * len(self._flips_F))
        entries = self._head[(slots[..., None] ^ self._flips_F).ravel()]
        while True:
            found = np.flatnonzero(entries != _EMPTY)
            if not found.size:
                return keys_Q
            query, entries = query[found], entries[found]
            ranks = entries & ((1 << self._rank_bits) - 1)
            near = np.bitwise_count(self._words_NW[ranks, 0] ^ first_words_Q[query])
            self._compare(keys_Q, ranks_Q, query, ranks, near <= self._max_distance)
            entries = self._before[entries]

    def keep(self, ranks: NDArray[np.intp]) -> None:
        """As the protocol says."""
        if not len(ranks):
            return
        slots = self._slots(ranks).T.ravel()
        entries = ((np.arange(self._num_bands) << self._rank_bits)[:, None] + ranks).ravel()
        order = np.argsort(slots, kind="stable")
        slots, entries = slots[order], entries[order]
        is_first = np.append(True, slots[1:] != slots[:-1])
        is_last = np.append(is_first[1:], True)
        self._before[entries] = np.append(_EMPTY, entries[:-1])
        self._before[entries[is_first]] = self._head[slots[is_first]]
        self._head[slots[is_last]] = entries[is_last]

    def _compare(
        self,
        keys_Q: NDArray[np.int64],
        ranks_Q: NDArray[np.intp],
        query: NDArray[np.intp],
        ranks: NDArray[np.intp],
        near: NDArray[np.bool_],
    ) -> None:
        query, ranks = query[near], ranks[near].astype(np.int64)
        apart = distances(self._words_NW[ranks], self._words_NW[ranks_Q[query]])
        _lower(keys_Q, query, ranks, apart, self._max_distance)

    def _slots(self, ranks: NDArray[np.intp]) -> NDArray[np.int64]:
        """Where each hash belongs in the table of each band, (hashes, B)."""
        bits = np.unpackbits(self._words_NW[ranks].view(np.uint8), axis=1)
        dealt = bits[:, : self._num_bands * self._bits].reshape(
            len(ranks), self._bits, self._num_bands
        )
        powers = 1 << np.arange(self._bits)
        slots: NDArray[np.int64] = np.einsum("nkb,k->nb", dealt, powers)
        return slots + (np.arange(self._num_bands) << self._bits)


def _flips(bits: int, most: int) -> NDArray[np.int64]:
    """Every pattern of at most so many bits set, as a number, (F / B,)."""
    return np.array(
        [
            sum(1 << bit for bit in chosen)
            for num_set in range(most + 1)
            for chosen in combinations(range(bits), num_set)
        ]
    )


def _lower(
    keys_Q: NDArray[np.int64],
    query: NDArray[np.intp],
    ranks: NDArray[np.intp],
    apart: NDArray[np.int64],
    max_distance: int,
) -> None:
    """Put in, in place, the keys of hashes within the distance where they are the nearer ones."""
    close = apart <= max_distance
    np.minimum.at(keys_Q, query[close], (apart[close] << 32) + ranks[close])
