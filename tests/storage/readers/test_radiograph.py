import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from storage.readers.radiograph import read_radiograph
from tests.storage.readers.made_files import dicom, dicom_bytes, grey, png, ramp


def shown(path: Path, *, inverted: bool = False) -> NDArray[np.uint8]:
    """Grey levels as every later reader sees them."""
    with Image.open(io.BytesIO(read_radiograph(path, inverted=inverted).content)) as image:
        return np.asarray(image.convert("L"))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_read_radiograph_eight_bit_file_is_kept_byte_for_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", grey())
    found = read_radiograph(path)
    assert found.content == path.read_bytes()
    assert (found.width_px, found.height_px) == (16, 16)


@pytest.mark.parametrize("highest", [4095, 65535], ids=["12 bits in 16", "16 bits"])
def test_read_radiograph_deep_png_uses_all_grey_levels(tmp_path: Path, highest: int) -> None:
    pixels = (ramp().astype(np.uint32) * highest // 255).astype(np.uint16)
    assert np.abs(shown(write(tmp_path / "a.png", png(pixels))) - ramp().astype(int)).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_read_radiograph_inverted_png_is_turned(tmp_path: Path, dtype: type) -> None:
    path = write(tmp_path / "a.png", png(ramp().astype(dtype)))
    np.testing.assert_array_equal(shown(path, inverted=True), 255 - ramp())


def test_read_radiograph_dicom_is_told_by_content_not_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", dicom_bytes(dicom(ramp())))
    np.testing.assert_array_equal(shown(path), ramp())
    assert read_radiograph(path).content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither PNG, JPEG nor DICOM"),
        (b"GIF89a" + b"\0" * 40, "neither PNG, JPEG nor DICOM"),
        (grey(side_px=300)[:-30], "image does not decode: "),
        (dicom_bytes(dicom(ramp()))[:-100], "image does not decode: DICOM: "),
        (b"\0" * 128 + b"DICM" + b"\xff" * 90, "image does not decode: DICOM: "),
    ],
    ids=["empty", "GIF", "cut PNG", "cut DICOM", "no DICOM"],
)
def test_read_radiograph_unreadable_says_why_in_one_line(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        read_radiograph(write(tmp_path / "a", content))
    assert "\n" not in str(caught.value)
