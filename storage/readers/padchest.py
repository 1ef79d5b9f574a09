"""PadChest in its official layout: 174 findings, a quarter of the images read by physicians.

One folder holds `PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv(.gz)` and the images, 16-bit
PNG, as `<ImageDir>/<ImageID>` or side by side. Frontal images are read, without the Spanish
reports. The dataset has no official split; the literature measures on the images that physicians
labelled (Tiu et al. 2022; Phan et al. 2024), and so does this: their patients are the test set,
all others train or validate on labels that a network gave.

Read here and not through torchxrayvision's reader, which keeps 28 findings of 174, finds them by
parts of words ("mass" in "mediastinal mass"), and wants torch and pandas in memory (760 MB).

Source: Bustos et al. 2020, "PadChest: A large chest x-ray image dataset with multi-label annotated
reports", Medical Image Analysis 66.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from storage.readers.columns import LABELLED
from storage.readers.csv_lines import csv_lines, require_columns
from storage.readers.labelled import Listed, find_file, labelled_rows, listed_hash, require_one
from storage.readers.official_split import train_or_validation
from storage.readers.pairs import Described
from storage.readers.rows import Skipped
from storage.readers.values import age_years, is_lateral, number_of, sex_of, view_of
from storage.records import Split

COLLECTION = "padchest"
LICENCE = "PadChest Dataset Research Use Agreement: no sharing, research alone"
TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
COLUMNS = (
    "ImageID",
    "ImageDir",
    "StudyDate_DICOM",
    "StudyID",
    "PatientID",
    "PatientBirth",
    "PatientSex_DICOM",
    "Projection",
    "MethodLabel",
    "Labels",
)
EXAMPLE = "<ImageDir>/<ImageID>"
ADVICE = "name the folder of the table, with the archives 0.zip to 54.zip unpacked beside it"
PHYSICIAN = "Physician"
NORMAL = "normal"
EXCLUDED = "exclude"
# Only what means the same. "infiltrates" and "nodule" are ChestX-ray14's; the many narrower labels
# ("laminar atelectasis", "mediastinal mass") stay the source's own.
LABELS = {
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "pulmonary edema": "Edema",
    "pleural effusion": "Effusion",
    "emphysema": "Emphysema",
    "pulmonary fibrosis": "Fibrosis",
    "hiatal hernia": "Hernia",
    "infiltrates": "Infiltration",
    "pulmonary mass": "Mass",
    "nodule": "Nodule",
    "pleural thickening": "Pleural_Thickening",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
}


@dataclass(frozen=True)
class PadchestReader:
    """Reads the frontal images with their labels.

    Attributes:
        source: The folder with the table and the images.
    """

    source: Path

    collection = COLLECTION
    licence = LICENCE
    restricted = True
    schema = LABELLED
    batch_rows = 64  # of some 8 MB each
    fractions = None  # the test set is what physicians labelled

    def source_hash(self) -> str:
        """SHA-256 over the table, and the name and size of every frontal image.

        Raises:
            ValueError: If the table or a column is missing, or there is not one image.
        """
        require_columns(self._table, COLUMNS)
        require_one(COLLECTION, self.source, self._listed(), EXAMPLE, ADVICE)
        return listed_hash([self._table], self._listed())

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per frontal image that decodes, in the order of the table."""
        return labelled_rows(self._listed())

    def _listed(self) -> Iterator[Listed | Skipped]:
        for line in csv_lines(self._table, COLUMNS):
            yield self._one(line)

    def _one(self, line: Mapping[str, str]) -> Listed | Skipped:
        name, patient_id = line["ImageID"].strip(), line["PatientID"].strip()
        if is_lateral(line["Projection"]):
            return Skipped(name, "lateral view")
        view = view_of(line["Projection"])
        if view is None:
            return Skipped(name, f"other view than AP or PA: {line['Projection']}")
        stated = _labels(line["Labels"])
        if stated is None or EXCLUDED in stated:
            return Skipped(name, "the source gives no labels, or excludes it")
        if line["MethodLabel"] != PHYSICIAN and patient_id in self._test_patients:
            return Skipped(name, "labelled by a network, of a patient of the test set")
        described = Described(
            image_id=Path(name).stem,
            patient_id=patient_id,
            labels=tuple(LABELS.get(label, label) for label in stated if label != NORMAL),
            uncertain_labels=(),
            view=view,
            sex=sex_of(line["PatientSex_DICOM"]),
            age_years=_age(line),
            follow_up=self._study_numbers[patient_id].index(_study(line)),
            split=self._split(patient_id),
        )
        return Listed(name, self._path(line), described)

    def _split(self, patient_id: str) -> Split:
        if patient_id in self._test_patients:
            return Split.TEST
        return train_or_validation(COLLECTION, patient_id)

    def _path(self, line: Mapping[str, str]) -> Path:
        name = line["ImageID"].strip()
        in_folder = self.source / line["ImageDir"].strip() / name
        return in_folder if in_folder.is_file() else self.source / name

    @cached_property
    def _test_patients(self) -> frozenset[str]:
        """Patients of whom a physician labelled a frontal image."""
        return frozenset(
            line["PatientID"].strip()
            for line in csv_lines(self._table, COLUMNS)
            if line["MethodLabel"] == PHYSICIAN and view_of(line["Projection"])
        )

    @cached_property
    def _study_numbers(self) -> dict[str, list[tuple[str, str]]]:
        """Each patient's studies by date."""
        studies: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for line in csv_lines(self._table, COLUMNS):
            studies[line["PatientID"].strip()].add(_study(line))
        return {patient_id: sorted(of_patient) for patient_id, of_patient in studies.items()}

    @cached_property
    def _table(self) -> Path:
        return find_file(COLLECTION, self.source, (TABLE, f"{TABLE}.gz"), ADVICE)


def _study(line: Mapping[str, str]) -> tuple[str, str]:
    return line["StudyDate_DICOM"].strip(), line["StudyID"].strip()


def _labels(cell: str) -> tuple[str, ...] | None:
    """Labels of a cell such as "['pleural effusion', ' nodule']", each once; None for no list."""
    try:
        stated = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return None  # as "nan", of images without a report
    if not isinstance(stated, list):
        return None
    return tuple(dict.fromkeys(label for one in stated if (label := str(one).strip())))


def _age(line: Mapping[str, str]) -> int | None:
    """Years from birth to the study; None where either is not stated."""
    born, taken = number_of(line["PatientBirth"]), number_of(line["StudyDate_DICOM"][:4])
    return age_years(str(int(taken - born))) if born and taken and taken >= born else None
