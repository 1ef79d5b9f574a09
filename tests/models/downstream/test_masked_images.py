"""Masks at other sizes, and masks of boxes, against plain counting of pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.downstream.boxed_images import FindingBox, boxed, filled
from models.downstream.masked_images import MaskedImages, fitted_mask
from models.vlp.images import fit_side, fit_square
from models.vocabulary.findings import Finding

MASS, NODULE = Finding.MASS, Finding.NODULE


def rectangle(
    height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def test_fitted_mask_of_whole_pixels_keeps_place_and_area() -> None:
    shrunk = fitted_mask(rectangle(256, 128, (64, 192), (32, 64)), 32, 16)
    np.testing.assert_array_equal(shrunk, rectangle(32, 16, (8, 24), (4, 8)))
    same = rectangle(9, 7, (1, 3), (2, 6))
    np.testing.assert_array_equal(fitted_mask(same, 9, 7), same)


def test_fitted_mask_thinner_than_a_pixel_stays_where_it_is_and_an_empty_one_stays_empty() -> None:
    line = fitted_mask(rectangle(1024, 1024, (300, 700), (522, 524)), 32, 32)
    rows, columns = np.nonzero(line)
    assert set(columns.tolist()) == {16}
    assert 10 <= rows.min() <= rows.max() < 22
    point = fitted_mask(rectangle(1024, 1024, (5, 6), (1000, 1001)), 32, 32)
    assert np.argwhere(point).tolist() == [[0, 31]]
    assert not fitted_mask(np.zeros((64, 64), bool), 8, 8).any()


def test_fit_side_is_what_the_square_pads() -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 90)).astype(np.uint8)
    fitted = fit_side(image, 30)
    assert fitted.shape == (20, 30)
    square = fit_square(image, 30)
    np.testing.assert_array_equal(square[5:25], fitted)
    np.testing.assert_array_equal(fit_square(fitted, 30), square)


@given(st.lists(st.tuples(*[st.floats(0, 15.5)] * 2, *[st.floats(0.01, 16)] * 2), max_size=4))
def test_filled_boxes_hold_the_pixels_whose_centres_they_hold(
    places: list[tuple[float, float, float, float]],
) -> None:
    boxes = [FindingBox(MASS, x, y, x + wide, y + high) for x, y, wide, high in places]
    found = filled(boxes, 12, 16)
    assert set(found) == ({MASS} if boxes else set())
    centres_y, centres_x = np.meshgrid(np.arange(12) + 0.5, np.arange(16) + 0.5, indexing="ij")
    for box in boxes:
        held = (box.left_px <= centres_x) & (centres_x < box.right_px)
        held &= (box.top_px <= centres_y) & (centres_y < box.bottom_px)
        assert found[MASS][held].all()
        inside = held.any() or box.top_px >= 12
        assert inside or found[MASS][int(box.top_px)].any(), "never lost"
    if len(boxes) == 1 and held.any():
        np.testing.assert_array_equal(found[MASS], held)


def test_filled_boxes_of_whole_pixels_are_framed_again_as_they_were() -> None:
    boxes = [FindingBox(MASS, 2, 3, 7, 9), FindingBox(NODULE, 0, 0, 1, 2)]
    masked = MaskedImages("x", [np.zeros((12, 16), np.uint8)], [filled(boxes, 12, 16)], ("a",))
    assert boxed(masked).boxes == [boxes]


@pytest.mark.parametrize("place", [(-4.0, -4.0, -1.0, -1.0), (20.0, 20.0, 30.0, 30.0)])
def test_filled_box_outside_the_image_is_empty(place: tuple[float, float, float, float]) -> None:
    assert not filled([FindingBox(MASS, *place)], 12, 16)[MASS].any()
