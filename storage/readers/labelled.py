"""A public dataset's images: what its tables list, checked and read one by one.

The readers of such datasets list every image with what the tables say of it; here the list is
hashed, and its files become rows, whatever dataset they are of.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from storage.identity import canonical_json
from storage.readers.pairs import Described
from storage.readers.radiograph import Radiograph, read_radiograph
from storage.readers.rows import Box, Mask, Skipped, file_hash

MAX_NAMED = 6  # files of a folder that an error names


@dataclass(frozen=True, slots=True)
class Listed:
    """One image as a dataset's tables list it, its file not yet read.

    Attributes:
        name: What is said of it when it is skipped.
        path: Of its file, which may be missing.
        described: What the tables say of it.
        boxes: In pixels of the file's own image.
        masks: Of the size of the file's own image.
    """

    name: str
    path: Path
    described: Described
    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()


def labelled_rows(listed: Iterable[Listed | Skipped]) -> Iterator[dict[str, Any] | Skipped]:
    """A row of `columns.MASKED` per image that decodes; one listed before is skipped.

    A reader's schema says whether its masks are stored.
    """
    seen: set[str] = set()
    for one in listed:
        if isinstance(one, Skipped):
            yield one
        elif one.described.image_id in seen:
            yield Skipped(one.name, "listed before")
        else:
            seen.add(one.described.image_id)
            yield _read(one)


def listed_hash(tables: Iterable[Path], listed: Iterable[Listed | Skipped]) -> str:
    """SHA-256 over the tables, and the name and size of every image that they list.

    The images' own hashes are stored with their rows: reading hundreds of gigabytes twice would
    buy little.
    """
    digest = hashlib.sha256(canonical_json([file_hash(path) for path in tables]))
    for one in listed:
        if isinstance(one, Listed):
            size = one.path.stat().st_size if one.path.is_file() else -1
            digest.update(f"{one.described.image_id} {size}\n".encode())
    return digest.hexdigest()


def find_file(kind: str, folder: Path, names: tuple[str, ...], advice: str) -> Path:
    """The first of `names` that the folder holds.

    Raises:
        ValueError: If it holds none: what was expected, what is there, what to do.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(
        f"ingest {kind}: expected {' or '.join(names)} in {str(folder)!r}, "
        f"found {what_is_in(folder)}; {advice}"
    )


def require_one(
    kind: str, source: Path, listed: Iterable[Listed | Skipped], example: str, advice: str
) -> None:
    """Refuse a folder with the tables and not one of the images that they list.

    Raises:
        ValueError: What was expected, what is there, what to do.
    """
    if not any(isinstance(one, Listed) and one.path.is_file() for one in listed):
        raise ValueError(
            f"ingest {kind}: expected the listed images as {example} in {str(source)!r}, found "
            f"none of them, but {what_is_in(source)}; {advice}"
        )


def as_numbers(cells: Sequence[str], place: str) -> list[float]:
    """The four numbers of a box.

    Raises:
        ValueError: If one is no number; `place` says whose it is.
    """
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise ValueError(
            f"{place}: expected a box as four numbers, got {', '.join(cells)}; "
            "download the table anew"
        ) from error


def what_is_in(folder: Path) -> str:
    """The first names of a folder, for an error."""
    if not folder.is_dir():
        return "no folder"
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return (", ".join(names[:MAX_NAMED]) or "nothing") + more


def _read(listed: Listed) -> dict[str, Any] | Skipped:
    if not listed.path.is_file():
        return Skipped(listed.name, "image file is missing")
    try:
        image = read_radiograph(listed.path)
    except ValueError as error:
        return Skipped(listed.name, str(error))
    for mask in listed.masks:
        if sum(mask.counts) != image.width_px * image.height_px:
            return Skipped(
                listed.name,
                f"mask is of another size than its image: of {sum(mask.counts)} px, the image of "
                f"{image.width_px} x {image.height_px}",
            )
    return _row(image, listed)


def _row(image: Radiograph, listed: Listed) -> dict[str, Any]:
    described = asdict(listed.described)
    described["labels"] = list(listed.described.labels)
    described["uncertain_labels"] = list(listed.described.uncertain_labels)
    return {
        **described,
        "image": image.content,
        "sha256": image.sha256,
        "width_px": image.width_px,
        "height_px": image.height_px,
        "boxes": [asdict(box) for box in listed.boxes],
        "masks": [asdict(mask) for mask in listed.masks],
    }
