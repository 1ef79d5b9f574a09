"""PNG round trips, metadata, and signatures that survive re-encoding but tell bodies apart."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from models.images import (
    NEAR_DUPLICATE_BITS,
    decode_mask,
    decode_png,
    encode_mask,
    encode_png,
    png_text,
    signature,
    signature_distance,
    to_uint8,
)
from storage.records import NOT_FOR_CLINICAL_USE

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)


@settings(deadline=None, max_examples=40)
@given(arrays.arrays(np.uint8, SHAPES))
def test_png_round_trip_keeps_every_pixel(pixels_HW: NDArray[np.uint8]) -> None:
    assert np.array_equal(decode_png(encode_png(pixels_HW, "a")), pixels_HW)


@settings(deadline=None, max_examples=40)
@given(arrays.arrays(np.bool_, SHAPES))
def test_mask_round_trip_keeps_every_pixel(mask_HW: NDArray[np.bool_]) -> None:
    assert np.array_equal(decode_mask(encode_mask(mask_HW)), mask_HW)


def test_mask_is_stored_as_one_bit() -> None:
    with Image.open(io.BytesIO(encode_mask(np.eye(8, dtype=bool)))) as image:
        assert image.mode == "1"


def test_png_says_what_it_is() -> None:
    text = png_text(encode_png(np.zeros((8, 8), np.uint8), "0123abcd"))
    assert NOT_FOR_CLINICAL_USE in text.values()
    assert text["sample_id"] == "0123abcd"


def test_png_same_pixels_give_same_bytes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    assert encode_png(pixels, "a") == encode_png(pixels.copy(), "a")
    assert encode_png(pixels, "a") != encode_png(pixels, "b")


@given(st.floats(-50, 300, width=32))
def test_to_uint8_rounds_to_nearest_and_clips(value: float) -> None:
    level = int(to_uint8(np.full((1, 1), value, np.float32))[0, 0])
    assert abs(level - min(max(value, 0), 255)) <= 0.5


def test_to_uint8_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        to_uint8(np.full((2, 2), np.nan, np.float32))


def test_to_uint8_colour_is_refused() -> None:
    with pytest.raises(ValueError, match="height, width"):
        to_uint8(np.zeros((2, 2, 3), np.float32))


def test_decode_png_garbage_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="expected the bytes of a PNG"):
        decode_png(b"not an image")


def test_signature_is_64_hex_digits_and_distance_counts_bits() -> None:
    mark = signature(np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8))
    assert len(mark) == 64
    assert signature_distance(mark, mark) == 0
    assert signature_distance("0" * 64, "0" * 63 + "7") == 3


def _copies(pixels_HW: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels_HW)
    image.save(buffer, "JPEG", quality=30)
    noise = np.random.default_rng(0).normal(0, 4, pixels_HW.shape)
    return {
        "jpeg": np.asarray(Image.open(buffer)),
        "noisy": to_uint8((pixels_HW + noise).astype(np.float32)),
        "larger": np.asarray(image.resize((512, 512), Image.Resampling.BICUBIC)),
        "brighter": to_uint8((pixels_HW * 0.9 + 20).astype(np.float32)),
        "shifted": np.roll(pixels_HW, 1, axis=1),
    }


@pytest.mark.data
def test_signature_finds_copies_of_real_images_and_tells_patients_apart(shared_data: Path) -> None:
    paths = sorted((shared_data / "nih" / "images").iterdir())[:240:4]
    images = [np.asarray(Image.open(path).convert("L")) for path in paths]
    marks = [signature(image) for image in images]
    for image, mark in zip(images[:20], marks, strict=False):
        distances = {n: signature_distance(mark, signature(c)) for n, c in _copies(image).items()}
        assert max(distances.values()) <= NEAR_DUPLICATE_BITS, distances
    pairs = [(a, b) for i, a in enumerate(marks) for b in marks[:i]]
    assert min(signature_distance(a, b) for a, b in pairs) > NEAR_DUPLICATE_BITS
