"""A radiograph's file, of whatever kind, as the corpus stores it: what any reader shows as grey.

8-bit PNG and JPEG are stored byte for byte; DICOM, 16-bit and inverted images as 8-bit grey PNG.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from storage.readers.grey import eight_bits, full_range

FORMATS = ("PNG", "JPEG")
DICOM_MAGIC, DICOM_MAGIC_AT = b"DICM", 128
UNREADABLE = "image does not decode"
_DEEP_MODES = ("I", "F")  # and all of Pillow's "I;16…": more than 8 bits
_COMPRESS_LEVEL = 1  # noisy radiographs shrink by a mere 4 % more at level 6, 4 times slower


@dataclass(frozen=True, slots=True)
class Radiograph:
    """What is stored of an image.

    Attributes:
        content: PNG or JPEG, verified to decode to its last pixel; `convert("L")` is right for it.
        sha256: Of `content`.
    """

    content: bytes
    sha256: str
    width_px: int
    height_px: int


def read_radiograph(path: Path, *, inverted: bool = False) -> Radiograph:
    """Read a PNG, JPEG or DICOM file.

    Args:
        path: Of the file; its name's ending says nothing.
        inverted: The source says that its lowest value is white (MONOCHROME1). A DICOM file
            says so itself.

    Raises:
        ValueError: If it does not decode; begins with `UNREADABLE`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{UNREADABLE}: {error.strerror or error}") from error
    if is_dicom(content):
        from storage.readers.dicom import read_dicom  # half a second, for those who need it

        try:
            return _encoded(read_dicom(content))
        except ValueError as error:
            raise ValueError(f"{UNREADABLE}: {error}") from error
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.load()
            if image.mode in _DEEP_MODES or image.mode.startswith("I;"):
                return _encoded(_oriented(_shallow(image), inverted))
            if inverted:
                return _encoded(_oriented(np.asarray(image.convert("L")), inverted))
            return _stored(content, image.size)
    except UnidentifiedImageError as error:
        raise ValueError(f"{UNREADABLE}: neither PNG, JPEG nor DICOM") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{UNREADABLE}: {error}") from error


def is_dicom(content: bytes) -> bool:
    """Whether the bytes are a DICOM file, whatever its name ends in."""
    return content[DICOM_MAGIC_AT : DICOM_MAGIC_AT + len(DICOM_MAGIC)] == DICOM_MAGIC


def _shallow(image: Image.Image) -> NDArray[np.uint8]:
    return eight_bits(full_range(np.asarray(image)))


def _oriented(pixels_HW: NDArray[np.uint8], inverted: bool) -> NDArray[np.uint8]:
    return 255 - pixels_HW if inverted else pixels_HW


def _encoded(pixels_HW: NDArray[np.uint8]) -> Radiograph:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels_HW)
    image.save(buffer, format="PNG", compress_level=_COMPRESS_LEVEL)
    return _stored(buffer.getvalue(), image.size)


def _stored(content: bytes, size_px: tuple[int, int]) -> Radiograph:
    return Radiograph(content, hashlib.sha256(content).hexdigest(), *size_px)
