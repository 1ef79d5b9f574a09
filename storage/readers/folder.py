"""One's own images: a CSV of image paths with what is known of each, and the images beside it."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from storage.identity import canonical_json
from storage.readers.columns import PAIRS
from storage.readers.csv_lines import csv_header, csv_lines
from storage.readers.folder_columns import FolderColumns
from storage.readers.pairs import Described, ReportText, pair_row
from storage.readers.radiograph import read_radiograph
from storage.readers.rows import DEFAULT_FRACTIONS, Skipped, file_hash, patient_split
from storage.readers.sections import report_sections
from storage.readers.values import (
    age_years,
    is_lateral,
    is_yes,
    number_of,
    sex_of,
    split_of,
    view_of,
)
from storage.records import Split

COLLECTION = "folder"
NOT_STATED = "not stated; ask whoever gave the images"
TABLE_ENDINGS = (".csv", ".csv.gz")
IMAGES_FOLDER = "images"
NORMAL_LABELS = frozenset({"no finding", "normal", "none", "no findings"})


@dataclass(frozen=True)
class FolderReader:
    """Reads a CSV and the images that it names.

    Attributes:
        source: The CSV, or the folder that holds it and no other.
        fractions: Of train, validation and test patients, where the CSV has no split.
        columns: What its columns are called.
        licence: Of the images and texts.
    """

    source: Path
    fractions: tuple[float, float, float] = DEFAULT_FRACTIONS
    columns: FolderColumns = field(default_factory=FolderColumns)
    licence: str = NOT_STATED

    collection = COLLECTION
    restricted = False
    schema = PAIRS
    batch_rows = 256

    def source_hash(self) -> str:
        """SHA-256 over the CSV, what its columns are called, and each image's size.

        Raises:
            ValueError: If there is no such CSV or column, or a patient has two splits.
        """
        names = self._names  # what is missing is said even where no line follows
        digest = hashlib.sha256(canonical_json([file_hash(self.table), asdict(self.columns)]))
        splits: dict[str, Split] = {}
        for number, line in enumerate(csv_lines(self.table, ()), start=2):
            path = self._path(line)
            size = path.stat().st_size if path.is_file() else -1
            digest.update(f"{self._cell(line, 'image')}\n{size}\n".encode())
            if "split" in names:
                self._note_split(splits, line, number)
        return digest.hexdigest()

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per image that decodes, in the order of the CSV.

        Raises:
            ValueError: As `source_hash`.
        """
        seen: set[str] = set()
        num_of_patient: Counter[str] = Counter()
        for number, line in enumerate(csv_lines(self.table, ()), start=2):
            image_id, place = self._image_id(line), f"{self.table.name} line {number}"
            if not image_id or not self._patient_id(line):
                yield Skipped(place, "no image path or no patient id")
            elif image_id in seen:
                yield Skipped(place, f"image is listed before: {self._cell(line, 'image')}")
            elif is_lateral(self._cell(line, "view")):
                yield Skipped(self._cell(line, "image"), "lateral view")
            else:
                seen.add(image_id)
                row = self._row(line, image_id, num_of_patient[self._patient_id(line)])
                if not isinstance(row, Skipped):
                    num_of_patient[self._patient_id(line)] += 1
                yield row

    @cached_property
    def table(self) -> Path:
        """The CSV's path.

        Raises:
            ValueError: If the folder holds none, or several.
        """
        if self.source.is_file():
            return self.source
        found = sorted(p for p in self.source.iterdir() if p.name.lower().endswith(TABLE_ENDINGS))
        if len(found) != 1:
            there = ", ".join(path.name for path in found) or "none"
            raise ValueError(
                f"ingest folder: expected one CSV in {str(self.source)!r}, found {there}; "
                "name the CSV itself"
            )
        return found[0]

    @cached_property
    def _names(self) -> dict[str, tuple[str, ...]]:
        """The CSV's columns by role; roles without a column are left out."""
        header = csv_header(self.table)
        names: dict[str, tuple[str, ...]] = {}
        for role, named in asdict(self.columns).items():
            wanted = (named,) if isinstance(named, str) else tuple(named or ())
            for column in wanted or (role,):
                if column in header:
                    names[role] = (*names.get(role, ()), column)
                elif wanted or role == "image":
                    raise ValueError(
                        f"{self.table.name}: expected a column {column!r} for {role}; "
                        f"it has {', '.join(header) or 'no columns at all'}; "
                        f"name the right one with --column {role}=NAME"
                    )
        return names

    def _cell(self, line: Mapping[str, str], role: str) -> str:
        """The cell of a role; empty where the CSV has no such column."""
        return (line[self._names[role][0]] or "").strip() if role in self._names else ""

    def _path(self, line: Mapping[str, str]) -> Path:
        name = self._cell(line, "image")
        beside = self.table.parent / name
        return beside if beside.is_file() else self.table.parent / IMAGES_FOLDER / name

    def _image_id(self, line: Mapping[str, str]) -> str:
        """The path as the CSV has it, without its ending."""
        path = self._cell(line, "image").replace("\\", "/")
        return str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).name else ""

    def _patient_id(self, line: Mapping[str, str]) -> str:
        named = "patient_id" in self._names
        return self._cell(line, "patient_id") if named else self._image_id(line)

    def _note_split(self, splits: dict[str, Split], line: Mapping[str, str], number: int) -> None:
        """Keep a patient's split; refuse a cell that names none, or another than before."""
        column, patient = self._names["split"][0], self._patient_id(line)
        try:
            split = split_of(self._cell(line, "split"))
        except ValueError as error:
            raise ValueError(
                f"{self.table.name} line {number}: {error}; correct the column {column!r}, "
                "or rename it to have patients split here"
            ) from None
        if splits.setdefault(patient, split) is not split:
            raise ValueError(
                f"{self.table.name} line {number}: patient {patient!r} is in {split} and in "
                f"{splits[patient]}; a patient must be in one split, correct the column {column!r}"
            )

    def _row(
        self, line: Mapping[str, str], image_id: str, follow_up: int
    ) -> dict[str, Any] | Skipped:
        path = self._path(line)
        if not path.is_file():
            return Skipped(self._cell(line, "image"), "image file is missing")
        try:
            image = read_radiograph(path, inverted=is_yes(self._cell(line, "inverted")))
        except ValueError as error:
            return Skipped(self._cell(line, "image"), str(error))
        present, uncertain = self._labels(line)
        patient_id = self._patient_id(line)
        described = Described(
            image_id=image_id,
            patient_id=patient_id,
            labels=present,
            uncertain_labels=uncertain,
            view=view_of(self._cell(line, "view")),
            sex=sex_of(self._cell(line, "sex")),
            age_years=age_years(self._cell(line, "age")),
            follow_up=follow_up,
            split=split_of(self._cell(line, "split"))
            if "split" in self._names
            else patient_split(COLLECTION, patient_id, self.fractions),
        )
        return pair_row(image, described, self._report(line, image_id))

    def _labels(self, line: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Labels present and uncertain, each once."""
        present: list[str] = []
        uncertain: list[str] = []
        for column in self._names.get("labels", ()):
            cell = (line[column] or "").strip()
            number = number_of(cell)
            if number is not None:
                present += [column] if number == 1 else []
                uncertain += [column] if number == -1 else []
            else:
                present += [label.strip() for label in cell.replace(";", "|").split("|")]
        kept = (name for name in present if name and name.lower() not in NORMAL_LABELS)
        return tuple(dict.fromkeys(kept)), tuple(dict.fromkeys(uncertain))

    def _report(self, line: Mapping[str, str], image_id: str) -> ReportText | None:
        sections = report_sections(self._cell(line, "text"))  # line breaks kept: they cut it
        for role in ("findings", "impression", "indication"):
            sections[role] = " ".join(self._cell(line, role).split()) or sections[role]
        if not any(sections.values()):
            return None
        named = self._cell(line, "report_id")  # may count within the patient
        report_id = f"{self._patient_id(line)}/{named}" if named else image_id
        return ReportText(report_id, **sections)
