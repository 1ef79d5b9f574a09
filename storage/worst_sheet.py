"""A sheet of rejected images, a row for each reason, to see whether a gate is right."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

IMAGE_PX = 192
_GAP_PX = 12
_LINE_PX = 15
_HEADER_PX = 40
_PAPER, _INK, _QUIET = "#f6f5f1", "#22262b", "#6b7280"


@dataclass(frozen=True, slots=True)
class SheetImage:
    """One image with the lines below it. `content` is any image Pillow reads."""

    content: bytes
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SheetRow:
    """Images rejected for one reason, with a heading."""

    heading: str
    images: tuple[SheetImage, ...]


def worst_sheet(title: str, rows: Sequence[SheetRow]) -> bytes:
    """Lay rejected images out, a row a reason.

    Returns:
        The sheet as PNG bytes.

    Raises:
        ValueError: If there is no row to show.
    """
    if not rows:
        raise ValueError("a sheet of rejected images needs at least one row, got none")
    num_columns = max(len(row.images) for row in rows)
    num_lines = max(len(image.lines) for row in rows for image in row.images)
    row_height = IMAGE_PX + (num_lines + 2) * _LINE_PX + _GAP_PX
    size = (
        max(num_columns * (IMAGE_PX + _GAP_PX) + _GAP_PX, 640),
        _HEADER_PX + len(rows) * row_height + _GAP_PX,
    )
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP_PX, 10), title, fill=_INK, font=ImageFont.load_default(17))
    for number, row in enumerate(rows):
        _draw_row(sheet, draw, row, _HEADER_PX + number * row_height)
    encoded = io.BytesIO()
    sheet.save(encoded, format="PNG", optimize=True)
    return encoded.getvalue()


def _draw_row(sheet: Image.Image, draw: ImageDraw.ImageDraw, row: SheetRow, top: int) -> None:
    draw.text((_GAP_PX, top), row.heading, fill=_INK, font=ImageFont.load_default(14))
    for column, one in enumerate(row.images):
        left, y = _GAP_PX + column * (IMAGE_PX + _GAP_PX), top + _LINE_PX + 6
        with Image.open(io.BytesIO(one.content)) as image:
            grey = image.convert("L")
        grey.thumbnail((IMAGE_PX, IMAGE_PX), Image.Resampling.LANCZOS)
        sheet.paste(grey, (left, y))
        for number, line in enumerate(one.lines):
            place = (left, y + IMAGE_PX + 2 + number * _LINE_PX)
            draw.text(place, line, fill=_QUIET, font=ImageFont.load_default(11))
