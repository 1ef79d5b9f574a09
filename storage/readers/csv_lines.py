"""Lines of a CSV file, gzipped or not, by column name, with errors one can act on."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def csv_lines(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Each line as a mapping; cells that a short line lacks are empty, those too many left out.

    Raises:
        ValueError: If one of `columns` is missing, or the file is damaged or not UTF-8.
    """
    with _opened(path) as file:
        lines = csv.DictReader(file, restval="")
        header = lines.fieldnames or []
        missing = [column for column in columns if column not in header]
        if missing:
            raise ValueError(
                f"{path.name}: expected the columns {', '.join(columns)}; "
                f"got {', '.join(header) or 'an empty file'}; missing {', '.join(missing)}"
            )
        for line in lines:
            line.pop(None, None)  # cells beyond the header, which a comma at a line's end makes
            yield line


def csv_header(path: Path) -> tuple[str, ...]:
    """The names of the columns; empty for an empty file.

    Raises:
        ValueError: If the file is damaged or not UTF-8.
    """
    with _opened(path) as file:
        return tuple(csv.DictReader(file).fieldnames or ())


def require_columns(path: Path, columns: tuple[str, ...]) -> None:
    """Refuse a file that lacks a column; see `csv_lines`."""
    next(csv_lines(path, columns), None)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The text of the file; what is wrong with it as one line, also while it is read."""
    try:
        packed = path.suffix == ".gz"
        with gzip.open(path, "rb") if packed else path.open("rb") as binary:
            yield io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: expected UTF-8 text, got {error}; save it anew") from error
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise ValueError(f"{path.name}: damaged: {error}; download or save it anew") from error
