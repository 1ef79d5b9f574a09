"""Finds, in index order, which image looks like an earlier kept one, by 256-bit perceptual hash.

Exact, without an index to tune: XOR and popcount over all kept hashes, word by word. Two hashes
within the distance differ in their first word by no more, so that one word rules most out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIGNATURE_BITS = 256
_HEX_DIGITS = SIGNATURE_BITS // 4
_NUM_WORDS = SIGNATURE_BITS // 64
_FIRST_CAPACITY = 1024


@dataclass(frozen=True, slots=True)
class Twin:
    """The kept sample another looks like. Distances are in bits of 256."""

    index: int
    distance: int
    max_distance: int


class NearDuplicates:
    """Kept hashes so far. Add in index order: the answer then never depends on arrival."""

    def __init__(self, max_distance: int) -> None:
        if not 0 <= max_distance < SIGNATURE_BITS:
            raise ValueError(
                f"near_duplicate_max_distance must be 0 to {SIGNATURE_BITS - 1} bits, "
                f"got {max_distance!r}"
            )
        self._max_distance = max_distance
        self._words_WN = np.empty((_NUM_WORDS, _FIRST_CAPACITY), np.uint64)  # word, kept hash
        self._indices: list[int] = []

    def add(self, index: int, signature: str) -> Twin | None:
        """Keep the hash unless an earlier kept one is within the distance; returns that one.

        Args:
            index: Sample index, higher than all before.
            signature: 64 hex digits.

        Raises:
            ValueError: If the signature is no 256-bit hash.
        """
        words_W = _parse(signature)
        twin = self._nearest(words_W)
        if twin is None:
            self._keep(index, words_W)
        return twin

    def _nearest(self, words_W: NDArray[np.uint64]) -> Twin | None:
        """The nearest kept hash within the distance; the lowest index among equals."""
        kept_WN = self._words_WN[:, : len(self._indices)]
        rows = np.flatnonzero(np.bitwise_count(kept_WN[0] ^ words_W[0]) <= self._max_distance)
        if rows.size == 0:
            return None
        bits_WN = np.bitwise_count(kept_WN[:, rows] ^ words_W[:, None])
        distances_N = bits_WN.sum(axis=0, dtype=np.int64)
        nearest = int(distances_N.argmin())
        distance = int(distances_N[nearest])
        if distance > self._max_distance:
            return None
        return Twin(self._indices[int(rows[nearest])], distance, self._max_distance)

    def _keep(self, index: int, words_W: NDArray[np.uint64]) -> None:
        row = len(self._indices)
        if row == self._words_WN.shape[1]:
            self._words_WN = np.concatenate([self._words_WN, self._words_WN], axis=1)
        self._words_WN[:, row] = words_W
        self._indices.append(index)


def _parse(signature: str) -> NDArray[np.uint64]:
    """The hash as four words, (4,)."""
    if len(signature) != _HEX_DIGITS:
        raise ValueError(f"signature must be {_HEX_DIGITS} hex digits, got {signature!r}")
    return np.frombuffer(bytes.fromhex(signature), dtype=">u8").astype(np.uint64)
