"""Grey images as arrays, PNG bytes and perceptual signatures. H: height, W: width, in pixels."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from storage.records import NOT_FOR_CLINICAL_USE

COMPRESS_LEVEL = (
    1  # level 1: noisy radiographs shrink by a mere 4 % more at level 6, 4 times slower
)
SIGNATURE_SIDE = 16  # 16 x 16 bits = 256
SIGNATURE_GRID = 64  # side of the thumbnail whose low frequencies are kept
# Two signatures at most this far apart are near-duplicates. Calibrated on 975 real radiographs of
# NIH ChestX-ray14 and 300 phantoms at 256 px: copies (JPEG quality 20, noise of 8 grey levels,
# gamma, resizing, a shift of one pixel) lie within 18; different patients are at least 52 apart,
# images of one patient 44 (an exact duplicate aside), different phantoms 44. Cropping 2 pixels off
# each side may exceed it (up to 34).
NEAR_DUPLICATE_BITS = 24


def to_uint8(pixels_HW: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round to the nearest grey level, clipped to 0..255; uint8 passes unchanged.

    Raises:
        ValueError: If the image is not two-dimensional or has values that are not finite.
    """
    if pixels_HW.ndim != 2:
        raise ValueError(f"pixels must be (height, width), got shape {pixels_HW.shape!r}")
    if pixels_HW.dtype == np.uint8:
        return pixels_HW.astype(np.uint8, copy=False)
    if not np.isfinite(pixels_HW).all():
        raise ValueError("pixels must be finite to be stored, got NaN or infinity; gate them first")
    return np.clip(np.rint(pixels_HW), 0, 255).astype(np.uint8)


def encode_png(pixels_HW: NDArray[np.uint8] | NDArray[np.float32], sample_id: str) -> bytes:
    """An 8-bit grey PNG that says what it is; the same pixels and id give the same bytes.

    Args:
        pixels_HW: Grey levels 0..255, (height, width).
        sample_id: Written into the text chunk `sample_id`.
    """
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", NOT_FOR_CLINICAL_USE)
    text.add_text("sample_id", sample_id)
    buffer = io.BytesIO()
    image = Image.fromarray(to_uint8(pixels_HW))
    image.save(buffer, format="PNG", pnginfo=text, compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def encode_mask(mask_HW: NDArray[np.bool_]) -> bytes:
    """A 1-bit PNG, white where the mask is true; the same mask gives the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(mask_HW.astype(bool)).save(buffer, format="PNG", compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def decode_png(png: bytes) -> NDArray[np.uint8]:
    """Grey levels of a PNG, uint8 (height, width).

    Raises:
        ValueError: If the bytes are no readable image.
    """
    try:
        with Image.open(io.BytesIO(png)) as image:
            return np.asarray(image.convert("L"))
    except OSError as error:
        raise ValueError(f"expected the bytes of a PNG, got {png[:8]!r}: {error}") from error


def decode_mask(png: bytes) -> NDArray[np.bool_]:
    """The boolean mask of `encode_mask`."""
    return decode_png(png) > 127


def png_text(png: bytes) -> dict[str, str]:
    """The text chunks of a PNG, by keyword."""
    with Image.open(io.BytesIO(png)) as image:
        return {str(k): v for k, v in image.info.items() if isinstance(v, str)}


def signature(pixels_HW: NDArray[np.uint8] | NDArray[np.float32]) -> str:
    """Perceptual hash of an image: 256 bits as 64 hex digits.

    The signs, against their median, of the 16 x 16 lowest cosine coefficients of a 64 x 64
    thumbnail (the constant left out): what an image shows, whatever its size, encoding,
    brightness, contrast or slight noise.

    Source: the DCT hash of Zauner 2010 ("pHash"), with 16 x 16 in place of 8 x 8 coefficients.
    """
    from scipy import fft  # a third of a second to import, which no scheduler should pay

    image = Image.fromarray(to_uint8(pixels_HW))
    small = image.resize((SIGNATURE_GRID, SIGNATURE_GRID), Image.Resampling.BOX)
    grid = np.asarray(small, dtype=np.float32)
    coefficients = fft.dctn(grid, norm="ortho")[: SIGNATURE_SIDE + 1, : SIGNATURE_SIDE + 1]
    low = coefficients.ravel()[1 : SIGNATURE_SIDE**2 + 1]
    return np.packbits(low > np.median(low)).tobytes().hex()


def signature_distance(first: str, second: str) -> int:
    """Bits in which two signatures differ, 0..256; compare with NEAR_DUPLICATE_BITS."""
    return (int(first, 16) ^ int(second, 16)).bit_count()
