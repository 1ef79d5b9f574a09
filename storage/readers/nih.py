"""ChestX-ray14 of the NIH: frontal radiographs, text-mined labels, some boxes.

The official file names and those of smaller collections in the same columns are read alike. Where
`train_val_list.txt` and `test_list.txt` lie beside them, the official test set is kept and
validation patients come out of the others (`official_split`); else patients are split here.

Source: Wang et al. 2017, "ChestX-ray8: Hospital-scale chest X-ray database".
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from storage.identity import canonical_json
from storage.readers.columns import IMAGES
from storage.readers.csv_lines import csv_lines, require_columns
from storage.readers.nih_lists import TEST_LIST, TRAIN_LIST, OfficialLists, official_lists
from storage.readers.official_split import train_or_validation
from storage.readers.radiograph import read_radiograph
from storage.readers.rows import DEFAULT_FRACTIONS, Skipped, file_hash, patient_split
from storage.readers.values import age_years, sex_of, view_of
from storage.records import Split

COLLECTION = "nih"
LICENCE = "NIH Clinical Center: no restriction on use, credit asked"
LABEL_FILES = ("labels.csv", "Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
BOX_FILES = ("bbox.csv", "BBox_List_2017.csv")
LABEL_COLUMNS = (
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
)
# The official header `Bbox [x,y,w,h]` is not quoted and so spans four cells.
BOX_COLUMNS = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")
BOX_FRAME_PX = 1024  # boxes are given in the 1024 x 1024 images of the official release
BOX_LABELS = {"Infiltrate": "Infiltration"}  # the one label the two official files spell apart
NO_FINDING = "No Finding"
IMAGE_ENDINGS = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class NihReader:
    """Reads a folder of images with its label and box files.

    Attributes:
        source: Folder with `labels.csv` (or the official name) and the images below `images*`.
        shares: Of train, validation and test patients, where there is no official split.
    """

    source: Path
    shares: tuple[float, float, float] | None = None

    collection = COLLECTION
    licence = LICENCE
    restricted = False
    schema = IMAGES
    batch_rows = 128  # of some 400 kB each in the official release

    @property
    def fractions(self) -> tuple[float, float, float] | None:
        """Of train, validation and test patients; None where the official split is kept.

        Raises:
            ValueError: If fractions are asked of a folder with the official split.
        """
        if self._official is None:
            return self.shares or DEFAULT_FRACTIONS
        if self.shares is not None:
            raise ValueError(
                f"ingest nih: keeps the official split of {TEST_LIST}, got fractions "
                f"{self.shares!r}; leave them out, or take the two lists away"
            )
        return None

    def source_hash(self) -> str:
        """SHA-256 over the tables, the official lists, and the name and size of every image.

        The images' own hashes are stored with their rows: reading 45 GB twice would buy little.

        Raises:
            ValueError: If a file or a column is missing.
        """
        tables = [file_hash(self._label_file)]
        require_columns(self._label_file, LABEL_COLUMNS)
        if self._box_file:
            require_columns(self._box_file, BOX_COLUMNS)
            tables.append(file_hash(self._box_file))
        if self._official is not None:
            tables += [file_hash(self.source / name) for name in (TRAIN_LIST, TEST_LIST)]
        sizes = sorted((path.name, path.stat().st_size) for path in self._images.values())
        return hashlib.sha256(canonical_json([tables, sizes])).hexdigest()

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per labelled image that decodes, in the order of the label file.

        Raises:
            ValueError: As `source_hash`.
        """
        boxes, unreadable = self._boxes()
        yield from unreadable
        unused = set(boxes)
        seen: set[str] = set()
        for entry in csv_lines(self._label_file, LABEL_COLUMNS):
            name = entry["Image Index"]
            image_id = Path(name).stem
            unused.discard(image_id)
            if image_id in seen:
                yield Skipped(name, "listed before in the label file")
                continue
            seen.add(image_id)
            yield self._row(name, image_id, entry, boxes.get(image_id, []))
        for image_id in sorted(unused):
            yield Skipped(image_id, "has boxes but is not in the label file")
        for image_id in sorted(set(self._images) - seen):
            yield Skipped(self._images[image_id].name, "image is not in the label file")

    def _row(
        self, name: str, image_id: str, entry: Mapping[str, str], boxes: list[dict[str, Any]]
    ) -> dict[str, Any] | Skipped:
        path = self._images.get(image_id)
        if path is None:
            return Skipped(name, "image file is missing")
        try:
            image = read_radiograph(path)
        except ValueError as error:
            return Skipped(name, str(error))
        try:
            described = self._described(entry, image_id)
        except ValueError as error:
            return Skipped(name, f"label file: {error}")
        if described["split"] is None:
            return Skipped(name, "image is in neither official list, or its patient in both")
        size_px = image.width_px, image.height_px
        return {
            "image_id": image_id,
            "image": image.content,
            "sha256": image.sha256,
            "width_px": image.width_px,
            "height_px": image.height_px,
            "boxes": [_scaled(box, size_px) for box in boxes],
            **described,
        }

    def _described(self, entry: Mapping[str, str], image_id: str) -> dict[str, Any]:
        patient_id = entry["Patient ID"].strip()
        if not patient_id:
            raise ValueError("Patient ID is empty")
        labels = [label.strip() for label in entry["Finding Labels"].split("|")]
        return {
            "patient_id": patient_id,
            "labels": [label for label in labels if label and label != NO_FINDING],
            "view": view_of(entry["View Position"]),
            "sex": sex_of(entry["Patient Gender"]),
            "age_years": age_years(entry["Patient Age"]),
            "follow_up": int(entry["Follow-up #"]),
            "split": self._split(image_id, patient_id),
        }

    def _split(self, image_id: str, patient_id: str) -> Split | None:
        """The split of an image; None where the official lists give it none."""
        if self._official is None:
            return patient_split(COLLECTION, patient_id, self.shares or DEFAULT_FRACTIONS)
        if image_id in self._official.test:
            return Split.TEST
        if image_id in self._official.train and patient_id not in self._test_patients:
            return train_or_validation(COLLECTION, patient_id)
        return None

    @cached_property
    def _test_patients(self) -> frozenset[str]:
        """Patients of whom an image is in the official test list."""
        assert self._official is not None, "asked where there are lists"
        return frozenset(
            entry["Patient ID"].strip()
            for entry in csv_lines(self._label_file, LABEL_COLUMNS)
            if Path(entry["Image Index"]).stem in self._official.test
        )

    def _boxes(self) -> tuple[dict[str, list[dict[str, Any]]], list[Skipped]]:
        """Boxes by image id, in the official frame, and the lines that make no box."""
        boxes: dict[str, list[dict[str, Any]]] = defaultdict(list)
        unreadable: list[Skipped] = []
        if self._box_file is None:
            return boxes, unreadable
        for line in csv_lines(self._box_file, BOX_COLUMNS):
            name, label, *numbers = (line[column] for column in BOX_COLUMNS)
            try:
                x, y, width, height = (float(number) for number in numbers)
            except ValueError as error:
                unreadable.append(Skipped(name, f"box file: {error}"))
                continue
            boxes[Path(name).stem].append(
                {
                    "label": BOX_LABELS.get(label, label),
                    "x_px": x,
                    "y_px": y,
                    "width_px": width,
                    "height_px": height,
                }
            )
        return boxes, unreadable

    @cached_property
    def _label_file(self) -> Path:
        path = self._first_of(LABEL_FILES)
        if path is None:
            raise ValueError(
                f"ingest nih: expected a folder with {' or '.join(LABEL_FILES)}, "
                f"got {str(self.source)!r}, which has none; name the folder of the dataset"
            )
        return path

    @cached_property
    def _box_file(self) -> Path | None:
        return self._first_of(BOX_FILES)

    @cached_property
    def _official(self) -> OfficialLists | None:
        """The official split; None where the folder has no lists of it."""
        return official_lists(self.source)

    @cached_property
    def _images(self) -> dict[str, Path]:
        """Every image below a folder `images*`, by its name without ending."""
        found = {
            Path(name).stem: Path(folder) / name
            for top in sorted(self.source.glob("images*"))
            for folder, _, names in os.walk(top)
            for name in names
            if Path(name).suffix.lower() in IMAGE_ENDINGS
        }
        if not found:
            raise ValueError(
                f"ingest nih: expected images (png, jpg) below {str(self.source / 'images')!r}, "
                "found none; unpack them there"
            )
        return found

    def _first_of(self, names: tuple[str, ...]) -> Path | None:
        paths = (self.source / name for name in names)
        return next((path for path in paths if path.is_file()), None)


def _scaled(box: Mapping[str, Any], size_px: tuple[int, int]) -> dict[str, Any]:
    """A box in pixels of the stored image: the official frame was resized as a whole."""
    across, down = size_px[0] / BOX_FRAME_PX, size_px[1] / BOX_FRAME_PX
    return {
        "label": box["label"],
        "x_px": box["x_px"] * across,
        "y_px": box["y_px"] * down,
        "width_px": box["width_px"] * across,
        "height_px": box["height_px"] * down,
    }
