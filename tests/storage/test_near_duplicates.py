import random
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import near_duplicates
from storage.hash_bands import (
    SIGNATURE_BITS,
    BandedHashes,
    KeptHashes,
    ScannedHashes,
    Words,
    kept_hashes,
)
from storage.near_duplicates import KnownTwins, Twin, find_twins, parse_signatures

_HASHES = st.integers(0, 2**SIGNATURE_BITS - 1)
_DISTANCES = [0, 1, 12, 24, 40, 64, 200, 255]


def _words(values: Sequence[int]) -> Words:
    return parse_signatures(pa.chunked_array([[f"{value:064x}" for value in values]], pa.string()))


def _twins(values: Sequence[int], max_distance: int, first_index: int = 0) -> dict[int, Twin]:
    index = np.arange(first_index, first_index + len(values))
    return find_twins(_words(values), index, max_distance)


def _flip(value: int, num_bits: int, seed: int = 0) -> int:
    for bit in random.Random(seed).sample(range(SIGNATURE_BITS), num_bits):
        value ^= 1 << bit
    return value


def _obvious(values: Sequence[int], max_distance: int) -> dict[int, Twin]:
    """Quadratic reference: the nearest earlier kept one within the distance, if any."""
    kept: list[int] = []
    twins = {}
    for index, value in enumerate(values):
        near = [((value ^ values[other]).bit_count(), other) for other in kept]
        distance, other = min(near, default=(SIGNATURE_BITS, -1))
        if distance <= max_distance:
            twins[index] = Twin(other, distance, max_distance)
        else:
            kept.append(index)
    return twins


@pytest.mark.parametrize("bits", [None, 8, 11, 20])
@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40), st.integers(0, 99)), max_size=40),
    st.lists(_HASHES, min_size=5, max_size=5),
    st.sampled_from(_DISTANCES),
)
def test_find_twins_by_scan_and_by_bands_agrees_with_the_obvious(
    bits: int | None,
    steps: list[tuple[int, int, int]],
    bases: list[int],
    max_distance: int,
) -> None:
    """Asked three together, so that twins lie among these and among those kept before."""

    def kept(words_NW: Words, max_distance: int) -> KeptHashes:
        flips = 0 if bits is None else max_distance // (SIGNATURE_BITS // bits)
        if bits is None or flips > 2:  # more would take a table of all patterns
            return ScannedHashes(words_NW, max_distance)
        return BandedHashes(words_NW, max_distance, bits)

    values = [_flip(bases[base], num_bits, seed) for base, num_bits, seed in steps]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "kept_hashes", kept)
        patch.setattr(near_duplicates, "_ASKED_TOGETHER", 3)
        patch.setattr(near_duplicates, "_KEPT_TOGETHER", 5)
        obvious = _obvious(values, max_distance)
        assert _twins(values, max_distance) == obvious
        for num in {len(values) // 3, len(values) // 2, len(values)}:
            known = KnownTwins(num, {index: twin for index, twin in obvious.items() if index < num})
            index = np.arange(len(values))
            assert find_twins(_words(values), index, max_distance, known) == obvious


def test_many_hashes_are_sought_by_bands_with_the_same_result() -> None:
    """Copies at every distance about the limit, of samples near and far."""
    chance, max_distance, num = random.Random(3), 24, 20_000
    values = [chance.getrandbits(SIGNATURE_BITS) for _ in range(num)]
    for index in range(0, num, 37):
        copied = chance.randrange(max(1, index))
        values[index] = _flip(values[copied], chance.randrange(18, 31), seed=index)
    words = _words(values)
    assert isinstance(kept_hashes(words, max_distance), BandedHashes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "kept_hashes", ScannedHashes)
        scanned = _twins(values, max_distance)
    assert 200 < len(scanned) < 500
    assert _twins(values, max_distance) == scanned


def test_find_twins_names_the_nearest_kept_one() -> None:
    values = [0, _flip(0, 11), _flip(_flip(0, 11), 2, seed=1)]
    assert _twins(values, 10, first_index=3) == {5: Twin(4, 2, 10)}


def test_find_twins_opposite_hash_is_no_repeat_at_256_bits_apart() -> None:
    assert _twins([0, 2**SIGNATURE_BITS - 1], 255) == {}


def test_find_twins_of_nothing_is_nothing() -> None:
    assert _twins([], 24) == {}


@pytest.mark.parametrize("distance", [-1, 256])
def test_distance_out_of_range_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match=f"0 to 255 bits, got {distance}"):
        _twins([0], distance)


@pytest.mark.parametrize("wrong", ["abc", "", "g" * 64, " " * 64])
def test_other_signature_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=f"64 hex digits, got '{wrong}'"):
        parse_signatures(pa.chunked_array([["0" * 64, wrong]]))
