"""Finds, in index order, which image looks like an earlier kept one, by 256-bit perceptual hash.

Exact, and the same whatever the order of arrival. Legend: N samples, Q of them asked together,
W = 4 words of a hash. A sample's *rank* is its place among the N.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.hash_bands import FAR, SIGNATURE_BITS, Words, distances, kept_hashes

_HEX_DIGITS = SIGNATURE_BITS // 4
_HEX = re.compile(rf"[0-9a-fA-F]{{{_HEX_DIGITS}}}")
_PARSED_TOGETHER = 1 << 16
_KEPT_TOGETHER = 1 << 16
_ASKED_TOGETHER = 1024


@dataclass(frozen=True, slots=True)
class Twin:
    """The kept sample another looks like. Distances are in bits of 256."""

    index: int
    distance: int
    max_distance: int


@dataclass(frozen=True, slots=True)
class KnownTwins:
    """What an earlier comparison by the same distance has found among the first samples."""

    num_samples: int = 0
    twins: Mapping[int, Twin] = field(default_factory=dict)


NOTHING_KNOWN = KnownTwins()
FindTwins = Callable[[Words, NDArray[np.int64], int], dict[int, Twin]]


def find_twins(
    words_NW: Words,
    index_N: NDArray[np.int64],
    max_distance: int,
    known: KnownTwins = NOTHING_KNOWN,
) -> dict[int, Twin]:
    """Which samples lie within the distance of an earlier kept one; all others are kept.

    Args:
        words_NW: Hashes, as `parse_signatures` gives them.
        index_N: Sample indices, ascending.
        max_distance: Bits of 256, 0 to 255.
        known: Of the first of these samples; only those after them are compared.

    Returns:
        Index of each such sample → its nearest kept one, the lowest index among equals.

    Raises:
        ValueError: If the distance is none.
    """
    if not 0 <= max_distance < SIGNATURE_BITS:
        raise ValueError(
            f"near_duplicate_max_distance must be 0 to {SIGNATURE_BITS - 1} bits, "
            f"got {max_distance!r}"
        )
    if known.num_samples == len(words_NW):
        return dict(known.twins)
    kept, twins = kept_hashes(words_NW, max_distance), dict(known.twins)
    is_twin_N = np.isin(index_N[: known.num_samples], np.fromiter(twins, np.int64, len(twins)))
    known_kept = np.flatnonzero(~is_twin_N)
    for first in range(0, len(known_kept), _KEPT_TOGETHER):
        kept.keep(known_kept[first : first + _KEPT_TOGETHER])
    for first in range(known.num_samples, len(words_NW), _ASKED_TOGETHER):
        ranks = np.arange(first, min(first + _ASKED_TOGETHER, len(words_NW)))
        nearest_Q = _nearest_within(words_NW[ranks], kept.nearest(ranks), first, max_distance)
        kept.keep(ranks[nearest_Q == FAR])
        for query in np.flatnonzero(nearest_Q != FAR).tolist():
            distance, rank = divmod(int(nearest_Q[query]), 1 << 32)
            twin = Twin(int(index_N[rank]), distance, max_distance)
            twins[int(index_N[first + query])] = twin
    return twins


def parse_signatures(signatures: pa.ChunkedArray) -> Words:
    """Hashes as words, uint64 (N, 4).

    Raises:
        ValueError: If one is no 256-bit hash of 64 hex digits.
    """
    parts = [
        _parse(signatures.slice(first, _PARSED_TOGETHER).to_pylist())
        for first in range(0, len(signatures), _PARSED_TOGETHER)
    ]
    return np.concatenate([np.empty((0, SIGNATURE_BITS // 64), np.uint64), *parts])


def _nearest_within(
    words_QW: Words, nearest_Q: NDArray[np.int64], first: int, max_distance: int
) -> NDArray[np.int64]:
    """The nearest kept one, now also of those asked together; keys as `kept_hashes` gives them."""
    open_S = np.flatnonzero(nearest_Q == FAR)  # the others are not kept whatever comes
    near_QS = np.bitwise_count(words_QW[:, None, 0] ^ words_QW[None, open_S, 0]) <= max_distance
    later, which = np.nonzero(near_QS)
    earlier = open_S[which]
    later, earlier = later[earlier < later], earlier[earlier < later]
    apart = distances(words_QW[later], words_QW[earlier])
    close = apart <= max_distance
    nearest: list[int] = nearest_Q.tolist()
    for query, other, distance in _triples(later[close], earlier[close], apart[close]):
        if nearest[other] == FAR:  # kept: all that is earlier has been seen
            nearest[query] = min(nearest[query], (distance << 32) + first + other)
    return np.array(nearest, np.int64)


def _triples(*columns: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    return zip(*(column.tolist() for column in columns), strict=True)


def _parse(signatures: list[str]) -> Words:
    wrong = next((one for one in signatures if not _HEX.fullmatch(one)), None)
    if wrong is not None:
        raise ValueError(f"signature must be {_HEX_DIGITS} hex digits, got {wrong!r}")
    data = bytes.fromhex("".join(signatures))
    return np.frombuffer(data, np.uint64).reshape(-1, SIGNATURE_BITS // 64)
