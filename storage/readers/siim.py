"""The SIIM-ACR Pneumothorax Segmentation Challenge of 2019: masks as run lengths.

One folder holds `train-rle.csv` with `dicom-images-train/<study>/<series>/<ImageId>.dcm`, or
Kaggle's second stage, `stage_2_train.csv` with `stage_2_images/<ImageId>.dcm`. The challenge's
test images have no public labels and are not read; there is no official split.

Every image counts as a patient of his own: the challenge publishes no patient, and its images
come from ChestX-ray14, so that a corpus of it must not be tested on by what was trained on that
one. A line of the table is one mask, stored with the box around it; an image may have several.
Read here and not through torchxrayvision's reader, which takes only the last of an image's masks.

Source: https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation, "Data".
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from storage.readers.columns import MASKED
from storage.readers.csv_lines import csv_header, csv_lines
from storage.readers.labelled import Listed, find_file, labelled_rows, listed_hash, require_one
from storage.readers.labelled_dicom import described_by_header
from storage.readers.pairs import Described
from storage.readers.rows import DEFAULT_FRACTIONS, Box, Mask, Skipped, patient_split
from storage.readers.run_lengths import extent, read_offsets

COLLECTION = "siim"
LICENCE = "rules of the SIIM-ACR challenge; images of ChestX-ray14 (NIH Clinical Center)"
TABLES = ("train-rle.csv", "stage_2_train.csv")
IMAGE_COLUMN, RUNS_COLUMN = "ImageId", "EncodedPixels"  # the first stage writes " EncodedPixels"
IMAGE_FOLDERS = ("dicom-images-train", "stage_2_images")
EXAMPLE = " or ".join(f"{folder}/…/<ImageId>.dcm" for folder in IMAGE_FOLDERS)
ADVICE = "name the folder that the challenge's archive was unpacked into"
PNEUMOTHORAX = "Pneumothorax"
NO_MASK = "-1"
SIDE_PX = 1024  # of every image of the challenge, and so of the masks


@dataclass(frozen=True)
class SiimReader:
    """Reads the challenge's training images.

    Attributes:
        source: The folder with the table and the images.
        fractions: Of train, validation and test images.
    """

    source: Path
    fractions: tuple[float, float, float] = DEFAULT_FRACTIONS

    collection = COLLECTION
    licence = LICENCE
    restricted = True
    schema = MASKED
    batch_rows = 128

    def source_hash(self) -> str:
        """SHA-256 over the table, and the name and size of every image.

        Raises:
            ValueError: If the table or a column is missing, or there is not one image.
        """
        require_one(COLLECTION, self.source, self._listed(), EXAMPLE, ADVICE)
        return listed_hash([self._table], self._listed())

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per frontal image that decodes, in the order of the table."""
        return labelled_rows(described_by_header(self._listed()))

    def _listed(self) -> Iterator[Listed | Skipped]:
        for image_id, lines in self._lines.items():
            described = Described(
                image_id=image_id,
                patient_id=image_id,
                labels=(PNEUMOTHORAX,) if lines else (),
                uncertain_labels=(),
                view=None,
                sex=None,
                age_years=None,
                follow_up=0,
                split=patient_split(COLLECTION, image_id, self.fractions),
            )
            try:
                drawn = [read_offsets(runs, SIDE_PX, SIDE_PX) for runs in lines]
            except ValueError as error:
                yield Skipped(image_id, f"mask: {error}")
                continue
            path = self._images.get(image_id, self.source / f"{image_id}.dcm")
            boxes = tuple(Box(PNEUMOTHORAX, *extent(counts, SIDE_PX)) for counts in drawn)
            masks = tuple(Mask(PNEUMOTHORAX, counts) for counts in drawn)
            yield Listed(image_id, path, described, boxes, masks)

    @cached_property
    def _lines(self) -> dict[str, list[str]]:
        """The run lengths of each image's masks, in the table's order."""
        runs_column = next(
            (name for name in csv_header(self._table) if name.strip() == RUNS_COLUMN), RUNS_COLUMN
        )
        lines: dict[str, list[str]] = defaultdict(list)
        for line in csv_lines(self._table, (IMAGE_COLUMN, runs_column)):
            of_image, runs = lines[line[IMAGE_COLUMN].strip()], line[runs_column].strip()
            if runs != NO_MASK:
                of_image.append(runs)
        return lines

    @cached_property
    def _images(self) -> dict[str, Path]:
        """Every DICOM file below the image folders, by its name without ending."""
        return {
            name.removesuffix(".dcm"): Path(folder) / name
            for top in IMAGE_FOLDERS
            for folder, _, names in os.walk(self.source / top)
            for name in names
            if name.endswith(".dcm")
        }

    @cached_property
    def _table(self) -> Path:
        return find_file(COLLECTION, self.source, TABLES, ADVICE)
