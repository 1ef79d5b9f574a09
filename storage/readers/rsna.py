"""The RSNA Pneumonia Detection Challenge of 2018 in Kaggle's layout: opacities with boxes.

One folder holds `stage_2_train_labels.csv` (a line a box), `stage_2_detailed_class_info.csv`, the
images as `stage_2_train_images/<patientId>.dcm`, and, from RSNA's own page of the challenge,
`pneumonia-challenge-dataset-mappings_2018.json`. The challenge's test images have no public
labels and are not read; there is no official split.

The mapping is required: a `patientId` of this challenge names one image, and by it a patient's
images would cross splits. The images are of ChestX-ray14; by the mapping they have its patients,
who are split as `ingest nih` splits them, so that a model trained on one is not tested on the
other. Read here and not through torchxrayvision's reader, which splits and names by `patientId`,
does not read `Normal` apart from `Not Normal`, and wants torch and pandas in memory (760 MB).

Source: Shih et al. 2019, "Augmenting the National Institutes of Health Chest Radiograph Dataset
with Expert Annotations of Possible Pneumonia", Radiology: AI 1(1).
"""

import json
from collections import defaultdict
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
from storage.readers.nih import COLLECTION as NIH_PATIENTS
from storage.readers.pairs import Described
from storage.readers.rows import DEFAULT_FRACTIONS, Box, Skipped, patient_split
from storage.readers.values import number_of

COLLECTION = "rsna"
LICENCE = "RSNA: any use with attribution; images of ChestX-ray14 (NIH Clinical Center)"
LABEL_FILE = "stage_2_train_labels.csv"
LABEL_COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
CLASS_FILE = "stage_2_detailed_class_info.csv"
CLASS_COLUMNS = ("patientId", "class")
MAPPING_FILE = "pneumonia-challenge-dataset-mappings_2018.json"
IMAGE_FOLDER = "stage_2_train_images"
EXAMPLE = f"{IMAGE_FOLDER}/<patientId>.dcm"
ADVICE = "name the folder that Kaggle's archive was unpacked into"
MAPPING_ADVICE = "download it from RSNA's page of the challenge: it says whose images these are"
PNEUMONIA = "Pneumonia"  # the challenge's class `Lung Opacity` with Target 1
NORMAL = "Normal"
OPACITY = "Lung Opacity"


@dataclass(frozen=True)
class RsnaReader:
    """Reads the challenge's training images.

    Attributes:
        source: The folder with the tables and the images.
        fractions: Of train, validation and test patients.
    """

    source: Path
    fractions: tuple[float, float, float] = DEFAULT_FRACTIONS

    collection = COLLECTION
    licence = LICENCE
    restricted = False
    schema = LABELLED
    batch_rows = 128

    def source_hash(self) -> str:
        """SHA-256 over the tables, the mapping, and the name and size of every image.

        Raises:
            ValueError: If a table, a column or the mapping is missing, or there is not one image.
        """
        require_columns(self._label_file, LABEL_COLUMNS)
        require_columns(self._class_file, CLASS_COLUMNS)
        require_one(COLLECTION, self.source, self._listed(), EXAMPLE, ADVICE)
        tables = (self._label_file, self._class_file, self._mapping_file)
        return listed_hash(tables, self._listed())

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per frontal image that decodes, in the order of the label table."""
        return labelled_rows(described_by_header(self._listed()))

    def _listed(self) -> Iterator[Listed | Skipped]:
        boxes, patients, classes = self._boxes, self._patients, self._classes
        for image_id, of_image in boxes.items():
            patient_id = patients.get(image_id)
            if patient_id is None:
                yield Skipped(image_id, "image is not in the mapping to patients")
                continue
            stated = (PNEUMONIA,) if of_image else classes.get(image_id, ())
            described = Described(
                image_id=image_id,
                patient_id=patient_id,
                labels=stated,
                uncertain_labels=(),
                view=None,
                sex=None,
                age_years=None,
                follow_up=0,
                split=patient_split(NIH_PATIENTS, patient_id, self.fractions),
            )
            path = self.source / IMAGE_FOLDER / f"{image_id}.dcm"
            yield Listed(image_id, path, described, tuple(of_image))

    @cached_property
    def _boxes(self) -> dict[str, list[Box]]:
        """Boxes by image, in the table's order; none for an image without an opacity."""
        boxes: dict[str, list[Box]] = defaultdict(list)
        for line in csv_lines(self._label_file, LABEL_COLUMNS):
            image_id = line["patientId"].strip()
            of_image = boxes[image_id]
            if number_of(line["Target"]) == 1:
                cells = [line[name] for name in LABEL_COLUMNS[1:5]]
                of_image.append(Box(PNEUMONIA, *as_numbers(cells, f"{LABEL_FILE}: {image_id}")))
        return boxes

    @cached_property
    def _classes(self) -> dict[str, tuple[str, ...]]:
        """What an image without an opacity shows: nothing, or the source's own `Not Normal`.

        It is kept, since an image of another disease must not pass for a normal one.
        """
        return {
            line["patientId"].strip(): () if line["class"] == NORMAL else (line["class"],)
            for line in csv_lines(self._class_file, CLASS_COLUMNS)
            if line["class"] != OPACITY
        }

    @cached_property
    def _patients(self) -> dict[str, str]:
        """Patient of ChestX-ray14 by image, as that dataset's table writes him."""
        try:
            entries = json.loads(self._mapping_file.read_bytes())
            return {
                entry["subset_img_id"]: str(int(entry["img_id"].split("_")[0])) for entry in entries
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{MAPPING_FILE}: expected a list of subset_img_id and img_id (as "
                f"00000001_000.png), got something else ({error!r}); {MAPPING_ADVICE}"
            ) from error

    @cached_property
    def _label_file(self) -> Path:
        return find_file(COLLECTION, self.source, (LABEL_FILE,), ADVICE)

    @cached_property
    def _class_file(self) -> Path:
        return find_file(COLLECTION, self.source, (CLASS_FILE,), ADVICE)

    @cached_property
    def _mapping_file(self) -> Path:
        return find_file(COLLECTION, self.source, (MAPPING_FILE,), MAPPING_ADVICE)
