"""COVIDx, of two classes (CXR-2 and later, "Covid19-CXR-2") or of three, in its own layout.

One folder holds `train.txt`, `test.txt`, from CXR-4 on `val.txt`, each line `patient file class
source`, and the images in `train/`, `test/` and `val/`. The official parts are kept; see
`official_split`. torchxrayvision has no reader of it.

Patients count within their source, so that two sources' patient 3 are two. An image of class
`negative` is without COVID-19 and may show anything else; it has no label.

Source: Pavlova et al. 2022, "COVID-Net CXR-2", Frontiers in Medicine 9; Wang et al. 2020,
"COVID-Net", Scientific Reports 10, for the three classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from storage.readers.columns import LABELLED
from storage.readers.labelled import Listed, find_file, labelled_rows, listed_hash, require_one
from storage.readers.official_split import IN_MEASURED_PART, official_split
from storage.readers.pairs import Described
from storage.readers.rows import Skipped
from storage.records import Split

COLLECTION = "covidx"
LICENCE = "of each of its sources; the collection is for research alone"
TRAIN_FILE, TEST_FILE, VALIDATION_FILE = "train.txt", "test.txt", "val.txt"
COVID = "COVID-19"
CLASSES = {
    "positive": (COVID,),
    "covid-19": (COVID,),
    "pneumonia": ("Pneumonia",),
    "negative": (),
    "normal": (),
}
EXAMPLE = "train/<file>"
ADVICE = "name the folder that Kaggle's archive was unpacked into"
_CELLS = 4


@dataclass(frozen=True)
class CovidxReader:
    """Reads the images of every part.

    Attributes:
        source: The folder with the lists and the images.
    """

    source: Path

    collection = COLLECTION
    licence = LICENCE
    restricted = False
    schema = LABELLED
    batch_rows = 128
    fractions = None  # the official split is kept

    def source_hash(self) -> str:
        """SHA-256 over the lists, and the name and size of every image.

        Raises:
            ValueError: If a list is missing or is no text, or there is not one image.
        """
        require_one(COLLECTION, self.source, self._listed(), EXAMPLE, ADVICE)
        return listed_hash(self._lists.values(), self._listed())

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per image that decodes: test, validation, train, in the lists' order."""
        return labelled_rows(self._listed())

    def _listed(self) -> Iterator[Listed | Skipped]:
        measured: set[str] = set()
        for part, path in self._lists.items():
            for number, line in enumerate(_lines(path), start=1):
                one = self._one(line, f"{path.name} line {number}", part)
                if isinstance(one, Listed):
                    patient_id = one.described.patient_id
                    if part is not Split.TRAIN:
                        measured.add(patient_id)
                    elif patient_id in measured:
                        one = Skipped(one.name, IN_MEASURED_PART)
                yield one

    def _one(self, line: str, place: str, part: Split) -> Listed | Skipped:
        cells = line.split()
        if len(cells) < _CELLS or cells[-2].lower() not in CLASSES:
            expected = f"patient, file, class ({', '.join(CLASSES)}), source"
            return Skipped(place, f"line is not {expected}: it has {len(cells)} words")
        name = " ".join(cells[1:-2])  # some files have spaces in their names
        patient_id = f"{cells[-1]}/{cells[0]}"
        folder = self._lists[part].stem
        described = Described(
            image_id=f"{folder}/{Path(name).stem}",
            patient_id=patient_id,
            labels=CLASSES[cells[-2].lower()],
            uncertain_labels=(),
            view=None,
            sex=None,
            age_years=None,
            follow_up=0,
            split=official_split(part, self._lists, COLLECTION, patient_id),
        )
        return Listed(name, self.source / folder / name, described)

    @cached_property
    def _lists(self) -> dict[Split, Path]:
        """The list of each part that is held; those to measure on first."""
        lists = {Split.TEST: find_file(COLLECTION, self.source, (TEST_FILE,), ADVICE)}
        if (self.source / VALIDATION_FILE).is_file():
            lists[Split.VALIDATION] = self.source / VALIDATION_FILE
        return lists | {Split.TRAIN: find_file(COLLECTION, self.source, (TRAIN_FILE,), ADVICE)}


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: expected UTF-8 text, got {error}; save it anew") from error
    return [line for line in text.splitlines() if line.strip()]
