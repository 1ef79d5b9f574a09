"""A contact sheet: pairs side by side on one PNG, to be looked at before anything is trusted."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from storage.records import NOT_FOR_CLINICAL_USE, Entity, EntityKind, EntityStatus

IMAGE_PX = 256
_TEXT_PX = 300
_GAP_PX = 16
_HEADER_PX = 48
_LINE_PX = 14
_PAPER = "#f6f5f1"
_INK = "#22262b"
_QUIET = "#6b7280"
_KIND_COLOURS = {
    EntityKind.ABNORMALITY: "#b42318",
    EntityKind.DISEASE: "#b54708",
    EntityKind.NON_ABNORMALITY: "#1d7a4f",
    EntityKind.NON_DISEASE: "#1d7a4f",
    EntityKind.ANATOMY: "#1d5fa8",
}


@dataclass(frozen=True, slots=True)
class SheetPair:
    """One pair as the sheet shows it. `png` is any image Pillow reads."""

    caption: str
    png: bytes
    findings: str
    impression: str
    entities: tuple[Entity, ...]


def contact_sheet(pairs: Sequence[SheetPair], title: str, num_columns: int = 4) -> bytes:
    """Lay pairs out in a grid, each image with its report and its entities by kind.

    Args:
        pairs: What to show, row by row.
        title: First line; the not-for-clinical-use line is added.
        num_columns: Pairs per row.

    Returns:
        The sheet as PNG bytes.

    Raises:
        ValueError: If there is nothing to show.
    """
    if not pairs:
        raise ValueError("a contact sheet needs at least one pair, got none")
    num_columns = min(num_columns, len(pairs))
    num_rows = -(-len(pairs) // num_columns)
    cell_width = IMAGE_PX + _TEXT_PX + 2 * _GAP_PX
    cell_height = IMAGE_PX + 3 * _LINE_PX + _GAP_PX
    sheet = Image.new(
        "RGB",
        (num_columns * cell_width + _GAP_PX, num_rows * cell_height + _HEADER_PX + _GAP_PX),
        _PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP_PX, 10), title, fill=_INK, font=_font(18))
    draw.text((_GAP_PX, 32), NOT_FOR_CLINICAL_USE, fill=_QUIET, font=_font(11))
    for position, pair in enumerate(pairs):
        row, column = divmod(position, num_columns)
        left, top = _GAP_PX + column * cell_width, _HEADER_PX + _GAP_PX + row * cell_height
        _draw_pair(sheet, draw, pair, left, top)
    encoded = io.BytesIO()
    sheet.save(encoded, format="PNG", optimize=True)
    return encoded.getvalue()


def _draw_pair(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, pair: SheetPair, left: int, top: int
) -> None:
    with Image.open(io.BytesIO(pair.png)) as image:
        square = image.convert("L").resize((IMAGE_PX, IMAGE_PX), Image.Resampling.LANCZOS)
    sheet.paste(square, (left, top))
    draw.text((left, top + IMAGE_PX + 4), pair.caption, fill=_QUIET, font=_font(11))
    x, y = left + IMAGE_PX + _GAP_PX, top
    y = _paragraph(draw, x, y, "FINDINGS", pair.findings)
    y = _paragraph(draw, x, y, "IMPRESSION", pair.impression)
    _draw_entities(draw, x, y, pair.entities)


def _paragraph(draw: ImageDraw.ImageDraw, x: int, y: int, heading: str, text: str) -> int:
    draw.text((x, y), heading, fill=_QUIET, font=_font(10))
    y += _LINE_PX
    for line in _lines(draw, text):
        draw.text((x, y), line, fill=_INK, font=_font(12))
        y += _LINE_PX
    return y + _LINE_PX // 2


def _lines(draw: ImageDraw.ImageDraw, text: str) -> Iterator[str]:
    """The text in lines no wider than a cell's column, unless one word is."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and draw.textlength(longer, font=_font(12)) > _TEXT_PX:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line


def _draw_entities(
    draw: ImageDraw.ImageDraw, left: int, top: int, entities: Sequence[Entity]
) -> None:
    x, y = left, top
    for entity in entities:
        words = _entity_words(entity)
        width = int(draw.textlength(words, font=_font(11))) + 8
        if x + width > left + _TEXT_PX and x > left:
            x, y = left, y + _LINE_PX + 4
        colour = _KIND_COLOURS[entity.kind]
        draw.rounded_rectangle((x, y, x + width, y + _LINE_PX + 1), 4, outline=colour)
        draw.text((x + 4, y + 1), words, fill=colour, font=_font(11))
        x += width + 4


def _entity_words(entity: Entity) -> str:
    if entity.kind is EntityKind.ANATOMY:
        return entity.text
    mark = {EntityStatus.PRESENT: "+", EntityStatus.ABSENT: "no", EntityStatus.UNCERTAIN: "?"}
    severity = f"{entity.severity} " if entity.severity else ""
    place = f" · {entity.anatomy}" if entity.anatomy else ""
    return f"{mark[entity.status]} {severity}{entity.text}{place}"


def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    return ImageFont.load_default(size)
