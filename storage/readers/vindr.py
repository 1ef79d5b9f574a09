"""VinDr-CXR in PhysioNet's layout: 28 labels by radiologists, 22 of them with boxes.

One folder holds `annotations/image_labels_{train,test}.csv`, `annotations/annotations_{train,
test}.csv` and the images as `train/<image id>.dicom` and `test/<image id>.dicom`. The official
test set is kept, validation images come out of the training part; no patients are published, so
every image counts as one.

A training image was read by three radiologists: what most of them state is present, what fewer
state is uncertain. A present label's boxes are those of the first radiologist who drew any, as
several radiologists' boxes of one finding would be counted as several findings. A test image's
labels are the agreement of five. Read here and not through torchxrayvision's reader, which takes
what any one radiologist states as present, and wants torch and pandas in memory (760 MB).

Source: Nguyen et al. 2022, "VinDr-CXR: An open dataset of chest X-rays with radiologist's
annotations", Scientific Data 9.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from storage.readers.columns import LABELLED
from storage.readers.csv_lines import csv_lines, require_columns
from storage.readers.labelled import (
    Listed,
    as_numbers,
    find_file,
    labelled_rows,
    listed_hash,
    require_one,
)
from storage.readers.labelled_dicom import described_by_header
from storage.readers.official_split import official_split
from storage.readers.pairs import Described
from storage.readers.rows import Box, Skipped
from storage.readers.values import number_of
from storage.records import Split, View

COLLECTION = "vindr"
LICENCE = "PhysioNet Credentialed Health Data License 1.5.0"
FOLDER = "annotations"
LABEL_FILES = {
    Split.TRAIN: f"{FOLDER}/image_labels_train.csv",
    Split.TEST: f"{FOLDER}/image_labels_test.csv",
}
BOX_FILES = {
    Split.TRAIN: f"{FOLDER}/annotations_train.csv",
    Split.TEST: f"{FOLDER}/annotations_test.csv",
}
LABEL_COLUMNS = ("image_id", "Cardiomegaly", "No finding")
BOX_COLUMNS = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
READER = "rad_id"  # `rad_ID` in one of the tables; the test set's has none
OTHER_COLUMNS = ("image_id", READER, "no finding")  # that are no labels, in lower case
# As ChestX-ray14 spells them; the official tables write one label in two ways.
LABELS = {
    "Pleural effusion": "Effusion",
    "Pleural thickening": "Pleural_Thickening",
    "Pulmonary fibrosis": "Fibrosis",
    "Other diseases": "Other disease",
}
EXAMPLE = "train/<image id>.dicom"
ADVICE = "name the folder of version 1.0.0 as PhysioNet gives it"


@dataclass(frozen=True)
class VindrReader:
    """Reads the images of both parts.

    Attributes:
        source: The folder of the dataset.
    """

    source: Path

    collection = COLLECTION
    licence = LICENCE
    restricted = True
    schema = LABELLED
    batch_rows = 64  # of some 5 MB each
    fractions = None  # the official split is kept

    def source_hash(self) -> str:
        """SHA-256 over the tables, and the name and size of every image.

        Raises:
            ValueError: If a table or a column is missing, or there is not one image.
        """
        for part, name in LABEL_FILES.items():
            require_columns(self._table(name), LABEL_COLUMNS)
            require_columns(self._table(BOX_FILES[part]), BOX_COLUMNS)
        require_one(COLLECTION, self.source, self._listed(), EXAMPLE, ADVICE)
        names = (*LABEL_FILES.values(), *BOX_FILES.values())
        return listed_hash(map(self._table, names), self._listed())

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per image that decodes, in the order of the label tables."""
        return labelled_rows(described_by_header(self._listed()))

    def _listed(self) -> Iterator[Listed | Skipped]:
        for part, name in LABEL_FILES.items():
            table = self._table(name)
            num_readers: Counter[str] = Counter()
            stated: dict[str, Counter[str]] = defaultdict(Counter)
            for line in csv_lines(table, LABEL_COLUMNS):
                image_id = line["image_id"].strip()
                num_readers[image_id] += 1
                for label, cell in line.items():
                    if label.lower() not in OTHER_COLUMNS and number_of(cell) == 1:
                        stated[image_id][LABELS.get(label, label)] += 1
            for image_id, number in num_readers.items():
                yield self._one(image_id, part, stated[image_id], number)

    def _one(self, image_id: str, part: Split, stated: Counter[str], num_readers: int) -> Listed:
        present = tuple(label for label, count in stated.items() if 2 * count > num_readers)
        described = Described(
            image_id=image_id,
            patient_id=image_id,
            labels=present,
            uncertain_labels=tuple(label for label in stated if label not in present),
            view=View.PA,  # of all, as the dataset says
            sex=None,
            age_years=None,
            follow_up=0,
            split=official_split(part, LABEL_FILES, COLLECTION, image_id),
        )
        path = self.source / part.value / f"{image_id}.dicom"
        of_image = self._boxes.get(image_id, {})
        boxes = tuple(box for label in present for box in of_image.get(label, ()))
        return Listed(image_id, path, described, boxes)

    @cached_property
    def _boxes(self) -> dict[str, dict[str, list[Box]]]:
        """Boxes by image and label: those of the first radiologist who drew one."""
        boxes: dict[str, dict[str, list[Box]]] = defaultdict(lambda: defaultdict(list))
        drawn_by: dict[tuple[str, str], str] = {}
        for name in BOX_FILES.values():
            for line in csv_lines(self._table(name), BOX_COLUMNS):
                corners = [line[column] for column in BOX_COLUMNS[2:]]
                if not all(corners):
                    continue  # a line "No finding"
                image_id, named = line["image_id"].strip(), line["class_name"].strip()
                label = LABELS.get(named, named)
                reader = next((line[column] for column in line if column.lower() == READER), "")
                if drawn_by.setdefault((image_id, label), reader) == reader:
                    left, top, right, bottom = as_numbers(corners, f"{name}: {image_id}")
                    box = Box(label, left, top, right - left, bottom - top)
                    boxes[image_id][label].append(box)
        return boxes

    def _table(self, name: str) -> Path:
        return find_file(COLLECTION, self.source, (name,), ADVICE)
