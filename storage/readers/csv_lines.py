"""Lines of a CSV file by column name, with an error one can act on."""

import csv
from collections.abc import Iterator
from pathlib import Path


def csv_lines(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Each line as a mapping; cells that a short line lacks are empty.

    Raises:
        ValueError: If one of `columns` is missing, or the file is not UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file, restval="")
            header = lines.fieldnames or []
            missing = [column for column in columns if column not in header]
            if missing:
                raise ValueError(
                    f"{path.name}: expected the columns {', '.join(columns)}; "
                    f"got {', '.join(header) or 'an empty file'}; missing {', '.join(missing)}"
                )
            yield from lines
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: expected UTF-8 text, got {error}; save it anew") from error
