"""Run lengths against plain loops over pixels, and against pycocotools, which names their form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as coco

from storage.readers.run_lengths import extent, mask_pixels, read_offsets

MASKS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans())


def offsets_of(mask_HW: NDArray[np.bool_]) -> str:
    """As SIIM's table writes a mask: down each column, offsets from the end of the last run."""
    words, gap, length = [], 0, 0
    for inside in [*mask_HW.T.ravel().tolist(), False]:
        if inside:
            length += 1
        elif length:
            words += [gap, length]
            gap, length = 1, 0
        else:
            gap += 1
    return " ".join(map(str, words))


@given(MASKS)
def test_mask_comes_back_from_its_offsets_as_coco_reads_the_counts(
    mask_HW: NDArray[np.bool_],
) -> None:
    if not mask_HW.any():
        return
    height, width = mask_HW.shape
    counts = read_offsets(offsets_of(mask_HW), height, width)
    np.testing.assert_array_equal(mask_pixels(counts, height, width), mask_HW)
    theirs = coco.frPyObjects({"size": [height, width], "counts": list(counts)}, height, width)
    np.testing.assert_array_equal(coco.decode(theirs).astype(bool), mask_HW)


@given(MASKS)
def test_extent_is_the_smallest_rectangle_around_the_pixels(mask_HW: NDArray[np.bool_]) -> None:
    if not mask_HW.any():
        return
    height, width = mask_HW.shape
    rows, columns = np.nonzero(mask_HW)
    expected = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert extent(read_offsets(offsets_of(mask_HW), height, width), height) == expected


def test_run_that_goes_on_into_the_next_column_is_as_high_as_the_mask() -> None:
    counts = read_offsets("5 10", 10, 3)
    assert counts == (5, 10, 15)
    assert extent(counts, 10) == (0, 0, 2, 10)
    assert mask_pixels(counts, 10, 3).sum(axis=0).tolist() == [5, 5, 0]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ("7", "expected pairs of offset and length, got 1 numbers"),
        ("", "got 0 numbers"),
        ("5 0", "pairs of offset and length"),
        ("5 3 -2 3", "pairs of offset and length"),
        ("5 six", "invalid literal"),
        ("5 3 30 3", "expected runs within 3 x 10 px, got 11 px beyond"),
    ],
)
def test_offsets_that_are_none_or_reach_past_the_mask_raise(runs: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_offsets(runs, 10, 3)


def test_counts_of_another_size_raise() -> None:
    with pytest.raises(ValueError, match="run lengths of 3 x 4 px, got those of 30 px"):
        mask_pixels((5, 10, 15), 4, 3)
