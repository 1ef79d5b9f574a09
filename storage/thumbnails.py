"""Thumbnails for the pairs table: 2 to 6 kB, made at publish so that browsing reads no blob."""

import io

from PIL import Image

MAX_SIDE_PX = 160
MAX_BYTES = 6_000
_QUALITIES = (85, 75, 60, 40, 20)


def thumbnail(png: bytes) -> bytes:
    """A grey JPEG of the image, at most 160 px a side and 6 kB.

    Args:
        png: An image any Pillow format reads.
    """
    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("L")
    small.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    for quality in _QUALITIES:
        data = _jpeg(small, quality)
        if len(data) <= MAX_BYTES:
            break
    return data


def _jpeg(image: Image.Image, quality: int) -> bytes:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=quality, optimize=True)
    return target.getvalue()
