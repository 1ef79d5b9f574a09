"""CheXpert in its official layout, full or small, with its test set where that is held.

One folder holds `train.csv` and `valid.csv`, whose `Path` begins with the folder's own name, and
the images as `train/patient00001/study1/view1_frontal.jpg`. The test set, published later with
CheXlocalize, is `test_labels.csv` and `test/`. Frontal images are read; for the split see
`official_split`.

Read here and not through torchxrayvision's reader, whose labels are the same: that one has no
test set, leaves out what is uncertain, and wants torch and pandas in memory (760 MB).

Source: Irvin et al. 2019, arXiv:1901.07031; Saporta et al. 2022 (CheXlocalize) for the test set.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from storage.readers.chexpert_cells import stated_labels
from storage.readers.columns import LABELLED
from storage.readers.csv_lines import csv_lines, require_columns
from storage.readers.labelled import Listed, find_file, labelled_rows, listed_hash, require_one
from storage.readers.official_split import IN_MEASURED_PART, official_split
from storage.readers.pairs import Described
from storage.readers.rows import Skipped
from storage.readers.values import age_years, sex_of, view_of
from storage.records import Split

COLLECTION = "chexpert"
LICENCE = "Stanford University Dataset Research Use Agreement: no sharing, research alone"
TRAIN_FILES = ("train.csv",)
VALIDATION_FILES = ("valid.csv", "val_labels.csv")
TEST_FILE = "test_labels.csv"
COLUMNS = ("Path", "Cardiomegaly", "Pleural Effusion")  # of all three tables
OTHER_COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
EXAMPLE = "train/patient00001/study1/view1_frontal.jpg"
ADVICE = "name the folder CheXpert-v1.0 or CheXpert-v1.0-small"

_PLACE = re.compile(r"(?:train|valid|val|test)/(patient\d+)/study(\d+)/[^/]+")


@dataclass(frozen=True)
class ChexpertReader:
    """Reads the frontal images with their labels.

    Attributes:
        source: The folder of the dataset.
    """

    source: Path

    collection = COLLECTION
    licence = LICENCE
    restricted = True
    schema = LABELLED
    batch_rows = 128
    fractions = None  # the official split is kept

    def source_hash(self) -> str:
        """SHA-256 over the tables and the name and size of every frontal image.

        Raises:
            ValueError: If a table or a column is missing, or there is not one image.
        """
        for path in self._tables.values():
            require_columns(path, COLUMNS)
        require_one(COLLECTION, self.source, self._listed(), EXAMPLE, ADVICE)
        return listed_hash(self._tables.values(), self._listed())

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per frontal image that decodes: test, validation, train, in the tables' order."""
        return labelled_rows(self._listed())

    def _listed(self) -> Iterator[Listed | Skipped]:
        measured: set[str] = set()
        for part, table in self._tables.items():
            for line in csv_lines(table, COLUMNS):
                one = self._one(line, part)
                if isinstance(one, Listed):
                    patient = one.described.patient_id
                    if part is not Split.TRAIN:
                        measured.add(patient)
                    elif patient in measured:
                        one = Skipped(one.name, IN_MEASURED_PART)
                yield one

    def _one(self, line: Mapping[str, str], part: Split) -> Listed | Skipped:
        name = line["Path"].strip()
        place = _PLACE.search(name)
        if place is None:
            return Skipped(name, f"path is not as {EXAMPLE}")
        if "lateral" in (line.get("Frontal/Lateral") or name).lower():
            return Skipped(name, "lateral view")
        patient_id, present_uncertain = place[1], stated_labels(line, OTHER_COLUMNS)
        described = Described(
            image_id=str(PurePosixPath(place[0]).with_suffix("")),
            patient_id=patient_id,
            labels=present_uncertain[0],
            uncertain_labels=present_uncertain[1],
            view=view_of(line.get("AP/PA") or ""),
            sex=sex_of(line.get("Sex") or ""),
            age_years=age_years(line.get("Age") or "") or None,  # 0 stands for unknown
            follow_up=int(place[2]) - 1,
            split=official_split(part, self._tables, COLLECTION, patient_id),
        )
        return Listed(name, self.source / place[0], described)

    @cached_property
    def _tables(self) -> dict[Split, Path]:
        """The table of each part that is held; those to measure on first."""
        train = find_file(COLLECTION, self.source, TRAIN_FILES, ADVICE)
        validation = find_file(COLLECTION, self.source, VALIDATION_FILES, ADVICE)
        test = self.source / TEST_FILE
        held = {Split.TEST: test} if test.is_file() else {}
        return {**held, Split.VALIDATION: validation, Split.TRAIN: train}
