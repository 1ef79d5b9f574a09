"""The pictures of one sample: the image as it is stored, and masks to lay over it."""

import io

from PIL import Image, UnidentifiedImageError

from browser.open_tables import OpenTable
from browser.problems import not_found
from browser.sample_page import row_of
from storage.errors import DamagedObject
from storage.layout import Table
from storage.tables import lance_errors

PNG_START = b"\x89PNG\r\n\x1a\n"
MASK_COLOURS = (  # told apart in both eyes' common colour blindness, on grey (Okabe and Ito 2008)
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
)
_MASK_ALPHA = 120


def image_png(opened: OpenTable, sample_id: str) -> bytes:
    """The full image, byte for byte as it was painted.

    Raises:
        Problem: If there is no such sample, or none was painted for it.
        DamagedObject: If what is stored is no PNG.
    """
    position = row_of(opened, sample_id)
    with lance_errors(opened.dataset.uri):
        if opened.table is Table.PAIRS:
            ((_, data),) = opened.dataset.read_blobs("image", indices=[position])
        else:
            (data,) = opened.dataset.take([position], columns=["image"])["image"].to_pylist()
    if not data:
        raise not_found("No image was painted for this sample.", "Its report says what it has.")
    if not data.startswith(PNG_START):
        raise DamagedObject(f"image of sample {sample_id}: expected a PNG, got {data[:8]!r}")
    return bytes(data)


def mask_png(opened: OpenTable, sample_id: str, number: int) -> bytes:
    """One mask as a coloured veil, clear where the finding is not.

    Raises:
        Problem: If there is no such sample or mask.
        DamagedObject: If what is stored is no image.
    """
    position = row_of(opened, sample_id)
    with lance_errors(opened.dataset.uri):
        (masks,) = opened.dataset.take([position], columns=["masks"])["masks"].to_pylist()
    if not masks or not 0 <= number < len(masks):
        raise not_found(f"This sample has no mask {number}.", "See how many its page names.")
    try:
        with Image.open(io.BytesIO(masks[number]["png"])) as image:
            mask = image.convert("L")
    except (UnidentifiedImageError, OSError) as error:
        raise DamagedObject(f"mask {number} of sample {sample_id} is no image: {error}") from error
    veil = Image.new("RGBA", mask.size, (*MASK_COLOURS[number % len(MASK_COLOURS)], 0))
    veil.putalpha(mask.point([0] + [_MASK_ALPHA] * 255))
    target = io.BytesIO()
    veil.save(target, "PNG")
    return target.getvalue()
