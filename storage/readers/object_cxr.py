"""Object-CXR, the challenge of MIDL 2020: foreign objects, each with a box.

One folder holds `train.csv` and `dev.csv`, where it is held `test.csv`, and the images, unpacked,
in `train/`, `dev/` and `test/`. The official parts are kept; see `official_split`. No patients
are published: every image counts as one.

An object is a rectangle, an ellipse or a polygon; a corpus has boxes, so each is stored as the
box around it. Read here and not through torchxrayvision's reader, which reads no boxes and only
the training part, out of its archive.

Source: JF Healthcare, https://jfhealthcare.github.io/object-CXR/, "Annotation".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from storage.readers.columns import LABELLED
from storage.readers.csv_lines import csv_header, csv_lines, require_columns
from storage.readers.labelled import Listed, find_file, labelled_rows, listed_hash, require_one
from storage.readers.official_split import official_split
from storage.readers.pairs import Described
from storage.readers.rows import Box, Skipped
from storage.records import Split

COLLECTION = "object-cxr"
LICENCE = "CC BY-NC 4.0"
TRAIN_FILE, VALIDATION_FILE, TEST_FILE = "train.csv", "dev.csv", "test.csv"
NAME_COLUMNS = ("image_name", "image_path")  # two releases of the tables
ANNOTATION = "annotation"
FOREIGN_OBJECT = "Foreign Object"
EXAMPLE = "train/<image>"
ADVICE = "name the folder of the tables, with train.zip and dev.zip unpacked beside them"


@dataclass(frozen=True)
class ObjectCxrReader:
    """Reads the images of every part.

    Attributes:
        source: The folder with the tables and the unpacked images.
    """

    source: Path

    collection = COLLECTION
    licence = LICENCE
    restricted = False
    schema = LABELLED
    batch_rows = 128
    fractions = None  # the official split is kept

    def source_hash(self) -> str:
        """SHA-256 over the tables, and the name and size of every image.

        Raises:
            ValueError: If a table or a column is missing, or there is not one image.
        """
        for path in self._tables.values():
            require_columns(path, (_name_column(path), ANNOTATION))
        require_one(COLLECTION, self.source, self._listed(), EXAMPLE, ADVICE)
        return listed_hash(self._tables.values(), self._listed())

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per image that decodes, in the order of the tables."""
        return labelled_rows(self._listed())

    def _listed(self) -> Iterator[Listed | Skipped]:
        for part, table in self._tables.items():
            name_column = _name_column(table)
            for line in csv_lines(table, (name_column, ANNOTATION)):
                yield self._one(line, line[name_column].strip(), part)

    def _one(self, line: Mapping[str, str], named: str, part: Split) -> Listed | Skipped:
        name, folder = PurePosixPath(named).name, self._tables[part].stem
        try:
            boxes = tuple(object_box(shape) for shape in line[ANNOTATION].split(";") if shape)
        except ValueError as error:
            return Skipped(name, f"annotation: {error}")
        image_id = f"{folder}/{PurePosixPath(name).stem}"
        described = Described(
            image_id=image_id,
            patient_id=image_id,
            labels=(FOREIGN_OBJECT,) if boxes else (),
            uncertain_labels=(),
            view=None,
            sex=None,
            age_years=None,
            follow_up=0,
            split=official_split(part, self._tables, COLLECTION, image_id),
        )
        return Listed(name, self.source / folder / name, described, boxes)

    @cached_property
    def _tables(self) -> dict[Split, Path]:
        tables = {
            Split.TRAIN: find_file(COLLECTION, self.source, (TRAIN_FILE,), ADVICE),
            Split.VALIDATION: find_file(COLLECTION, self.source, (VALIDATION_FILE,), ADVICE),
        }
        test = self.source / TEST_FILE
        return tables | ({Split.TEST: test} if test.is_file() else {})


def object_box(shape: str) -> Box:
    """The box around a shape such as "2 10 10 40 12 25 60".

    Args:
        shape: Its type (0 rectangle, 1 ellipse, 2 polygon), then x and y of its corners, or of
            the corners of the box around it.

    Raises:
        ValueError: If it is not that.
    """
    kind, *words = shape.split()
    numbers = [float(word) for word in words]
    if kind not in ("0", "1", "2") or len(numbers) < 4 or len(numbers) % 2:
        raise ValueError(f"expected a type and pairs of x and y, got {len(words)} numbers")
    xs, ys = numbers[::2], numbers[1::2]
    return Box(FOREIGN_OBJECT, min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def _name_column(table: Path) -> str:
    header = csv_header(table)
    return next((name for name in NAME_COLUMNS if name in header), NAME_COLUMNS[0])
