import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.near_duplicates import SIGNATURE_BITS, NearDuplicates, Twin

_HASHES = st.integers(0, 2**SIGNATURE_BITS - 1)


def _flip(value: int, num_bits: int, seed: int = 0) -> int:
    for bit in random.Random(seed).sample(range(SIGNATURE_BITS), num_bits):
        value ^= 1 << bit
    return value


def _obvious(values: list[int], max_distance: int) -> list[bool]:
    """Quadratic reference: is this one a repeat of an earlier kept one?"""
    kept: list[int] = []
    repeats = []
    for value in values:
        repeat = any((value ^ other).bit_count() <= max_distance for other in kept)
        repeats.append(repeat)
        if not repeat:
            kept.append(value)
    return repeats


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40), st.integers(0, 99)), max_size=40),
    st.lists(_HASHES, min_size=5, max_size=5),
    st.sampled_from([0, 1, 12, 40, 200, 255]),
)
@settings(max_examples=80, derandomize=True, deadline=None)
def test_add_agrees_with_the_obvious(
    steps: list[tuple[int, int, int]], bases: list[int], max_distance: int
) -> None:
    values = [_flip(bases[base], num_bits, seed) for base, num_bits, seed in steps]
    gate = NearDuplicates(max_distance)
    found = [gate.add(index, f"{value:064x}") is not None for index, value in enumerate(values)]
    assert found == _obvious(values, max_distance)


def test_add_names_the_nearest_kept_one() -> None:
    gate = NearDuplicates(10)
    assert gate.add(3, f"{0:064x}") is None
    assert gate.add(5, f"{_flip(0, 11):064x}") is None
    assert gate.add(7, f"{_flip(_flip(0, 11), 2, seed=1):064x}") == Twin(5, 2, 10)


def test_add_opposite_hash_is_no_repeat_at_256_bits_apart() -> None:
    gate = NearDuplicates(200)
    gate.add(0, "0" * 64)
    assert gate.add(1, "f" * 64) is None


def test_add_after_growth_still_finds_the_first() -> None:
    gate = NearDuplicates(5)
    rng = random.Random(1)
    first = rng.getrandbits(SIGNATURE_BITS)
    gate.add(0, f"{first:064x}")
    for index in range(1, 3000):
        gate.add(index, f"{rng.getrandbits(SIGNATURE_BITS):064x}")
    assert gate.add(3000, f"{_flip(first, 5):064x}") == Twin(0, 5, 5)


@pytest.mark.parametrize("distance", [-1, 256])
def test_distance_out_of_range_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match=f"0 to 255 bits, got {distance}"):
        NearDuplicates(distance)


def test_add_other_signature_is_refused() -> None:
    with pytest.raises(ValueError, match="64 hex digits, got 'abc'"):
        NearDuplicates(1).add(0, "abc")
