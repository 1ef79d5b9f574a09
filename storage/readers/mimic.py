"""MIMIC-CXR-JPG in its official layout, with the reports of MIMIC-CXR: credentialed data.

Below one folder: `mimic-cxr-2.0.0-{split,metadata,chexpert}.csv.gz`, the images as
`files/p10/p10000032/s50414267/<dicom id>.jpg` (or `.dcm` of MIMIC-CXR), and the reports as
`mimic-cxr-reports.zip` or unpacked. Frontal images are read; the official split is kept.

Source: Johnson et al. 2019, "MIMIC-CXR-JPG, a large publicly available database of labeled chest
radiographs", arXiv:1901.07042.
"""

import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from storage.readers.chexpert_cells import NO_FINDING, StatedLabels, stated_labels
from storage.readers.columns import PAIRS
from storage.readers.csv_lines import csv_lines, require_columns
from storage.readers.mimic_reports import (
    FOLDER_NAME,
    ZIP_NAME,
    MimicReports,
    open_reports,
    study_folder,
)
from storage.readers.pairs import Described, ReportText, pair_row
from storage.readers.radiograph import read_radiograph
from storage.readers.rows import Skipped, file_hash
from storage.readers.sections import report_sections
from storage.readers.values import number_of, split_of
from storage.records import Split, View

COLLECTION = "mimic"
LICENCE = "PhysioNet Credentialed Health Data License 1.5.0"
ENDINGS = (".jpg", ".dcm")
_ID_COLUMNS = ("dicom_id", "study_id", "subject_id")
SPLIT_COLUMNS = (*_ID_COLUMNS, "split")
METADATA_COLUMNS = (*_ID_COLUMNS, "ViewPosition", "StudyDate", "StudyTime")
CHEXPERT_COLUMNS = ("subject_id", "study_id", NO_FINDING)


@dataclass(frozen=True)
class MimicReader:
    """Reads the frontal images with their labels and reports.

    Attributes:
        source: The folder of MIMIC-CXR-JPG, with the reports in it.
    """

    source: Path

    collection = COLLECTION
    licence = LICENCE
    restricted = True
    schema = PAIRS
    batch_rows = 128  # of some 1.5 MB each; the ingest cuts by bytes too
    fractions = None  # the official split is kept

    def source_hash(self) -> str:
        """SHA-256 over the three tables and the sizes of every frontal image and its report.

        Raises:
            ValueError: If a table is missing, damaged or lacks a column; if a patient is in two
                splits; if there is not one image, or not one report.
        """
        tables = [(self._split_file, SPLIT_COLUMNS), (self._metadata_file, METADATA_COLUMNS)]
        tables.append((self._chexpert_file, CHEXPERT_COLUMNS))
        for path, columns in tables:
            require_columns(path, columns)
        digest = hashlib.sha256("".join(file_hash(path) for path, _ in tables).encode())
        splits: dict[str, Split] = {}
        num_images = num_reports = 0
        for line in csv_lines(self._split_file, SPLIT_COLUMNS):
            self._note_split(splits, line)
            if self._views.get(line["dicom_id"]) not in tuple(View):
                continue
            image, report = self._image_path(line), self._report_bytes(line)
            size = image.stat().st_size if image else -1
            digest.update(f"{line['dicom_id']} {size} {report}\n".encode())
            num_images += image is not None
            num_reports += report is not None
        self._require_some(num_images, num_reports)
        return digest.hexdigest()

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per frontal image that decodes, in the order of the split file.

        A study without a report is named as skipped; its images are kept.

        Raises:
            ValueError: As `source_hash`.
        """
        study_id = ""
        report: ReportText | Skipped | None = None
        for line in csv_lines(self._split_file, SPLIT_COLUMNS):
            view = self._views.get(line["dicom_id"])
            if view is None:
                yield Skipped(line["dicom_id"], "image is not in the metadata file")
                continue
            if view not in tuple(View):
                yield Skipped(line["dicom_id"], "other view than AP or PA")
                continue
            if study_id != line["study_id"]:  # images of a study follow each other
                study_id, report = line["study_id"], self._report(line)
                if isinstance(report, Skipped):
                    yield report
            yield self._row(line, view, report if isinstance(report, ReportText) else None)

    def _row(
        self, line: Mapping[str, str], view: str, report: ReportText | None
    ) -> dict[str, Any] | Skipped:
        path = self._image_path(line)
        if path is None:
            return Skipped(line["dicom_id"], "image file is missing")
        try:
            image = read_radiograph(path)
        except ValueError as error:
            return Skipped(path.name, str(error))
        present, uncertain = self._labels.get(line["study_id"], ((), ()))
        described = Described(
            image_id=line["dicom_id"],
            patient_id=line["subject_id"],
            labels=present,
            uncertain_labels=uncertain,
            view=view,
            sex=None,
            age_years=None,
            follow_up=self._study_numbers.get(line["study_id"], 0),
            split=split_of(line["split"]),
        )
        return pair_row(image, described, report)

    def _report(self, line: Mapping[str, str]) -> ReportText | Skipped:
        """The report of a line's study."""
        name = f"s{line['study_id']}"
        if self._report_bytes(line) is None:
            return Skipped(name, "report is missing")
        try:
            text = self._reports.text(line["subject_id"], line["study_id"])
        except ValueError as error:
            return Skipped(name, str(error))
        return ReportText(name, **report_sections(text))

    def _image_path(self, line: Mapping[str, str]) -> Path | None:
        folder = self.source / study_folder(line["subject_id"], line["study_id"])
        paths = (folder / (line["dicom_id"] + ending) for ending in ENDINGS)
        return next((path for path in paths if path.is_file()), None)

    def _report_bytes(self, line: Mapping[str, str]) -> int | None:
        return self._reports.num_bytes(line["subject_id"], line["study_id"])

    def _note_split(self, splits: dict[str, Split], line: Mapping[str, str]) -> None:
        split, patient = split_of(line["split"]), line["subject_id"]
        if splits.setdefault(patient, split) is not split:
            raise ValueError(
                f"{self._split_file.name}: patient {patient} is in {split} and in "
                f"{splits[patient]}; a patient must be in one split, download the file anew"
            )

    def _require_some(self, num_images: int, num_reports: int) -> None:
        if not num_images:
            raise ValueError(
                f"ingest mimic: expected images as files/p10/p10000032/s50414267/*.jpg below "
                f"{str(self.source)!r}, found none of a frontal view; name the dataset's folder"
            )
        if not num_reports:
            raise ValueError(
                f"ingest mimic: expected the reports as {ZIP_NAME}, or unpacked in {FOLDER_NAME}, "
                f"below {str(self.source)!r}, found none; download them from MIMIC-CXR"
            )

    @cached_property
    def _reports(self) -> MimicReports:
        return open_reports(self.source)

    @cached_property
    def _views(self) -> dict[str, str]:
        """The view of each image, as the metadata file has it."""
        lines = csv_lines(self._metadata_file, METADATA_COLUMNS)
        return {line["dicom_id"]: sys.intern(line["ViewPosition"].strip()) for line in lines}

    @cached_property
    def _study_numbers(self) -> dict[str, int]:
        """Each study's place among its patient's, from 0, by date and time."""
        studies: dict[str, dict[str, float]] = defaultdict(dict)
        for line in csv_lines(self._metadata_file, METADATA_COLUMNS):
            day, time = number_of(line["StudyDate"]) or 0, number_of(line["StudyTime"]) or 0
            taken = day * 1e6 + time  # as 21800506, 213014.5
            studies[line["subject_id"]].setdefault(line["study_id"], taken)
        return {
            study_id: number
            for times in studies.values()
            for number, study_id in enumerate(sorted(times, key=times.__getitem__))
        }

    @cached_property
    def _labels(self) -> dict[str, StatedLabels]:
        """Labels by study; studies with the same share them."""
        shared: dict[StatedLabels, StatedLabels] = {}
        found: dict[str, StatedLabels] = {}
        for line in csv_lines(self._chexpert_file, CHEXPERT_COLUMNS):
            labels = stated_labels(line, CHEXPERT_COLUMNS)
            found[line["study_id"]] = shared.setdefault(labels, labels)
        return found

    @cached_property
    def _split_file(self) -> Path:
        return self._table("split")

    @cached_property
    def _metadata_file(self) -> Path:
        return self._table("metadata")

    @cached_property
    def _chexpert_file(self) -> Path:
        return self._table("chexpert")

    def _table(self, name: str) -> Path:
        """`mimic-cxr-<version>-<name>.csv`, gzipped or not; versions keep the name 2.0.0."""
        found = sorted(self.source.glob(f"mimic-cxr-*-{name}.csv*"))
        if not found:
            raise ValueError(
                f"ingest mimic: expected mimic-cxr-2.0.0-{name}.csv.gz in {str(self.source)!r}, "
                "found none; name the folder of MIMIC-CXR-JPG"
            )
        return found[0]
