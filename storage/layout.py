"""Where everything lies under one root: the keys of a dataset, a corpus and a model run."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from storage.records import Stage

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


class PlannedLayout(Protocol):
    """Keys of what is made by one plan: a dataset, a study."""

    @property
    def what(self) -> str:
        """What it is, in a message."""
        ...

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def folder(self) -> str:
        """Its folder, without a trailing slash."""
        ...

    @property
    def plan_lock(self) -> str:
        """What it is made from; written once."""
        ...

    @property
    def run_lock(self) -> str:
        """The advisory lock of a run on this host (local roots)."""
        ...


class Table(StrEnum):
    """The Lance tables of a dataset that the factory publishes; reviews are people's."""

    SAMPLES = "samples"
    REPORTS = "reports"
    PAIRS = "pairs"
    REJECTS = "rejects"
    REVIEWS = "reviews"


def valid_name(what: str, name: str) -> str:
    """The name, if it can be a folder, an S3 key and a URL part everywhere.

    Raises:
        ValueError: If it cannot; says which characters may be used.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{what} must be 1 to 100 of a-z, 0-9, - and _, beginning with a letter or digit; "
            f"got {name!r}"
        )
    return name


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """Keys of one dataset, relative to the store's root."""

    name: str

    def __post_init__(self) -> None:
        valid_name("dataset name", self.name)

    @property
    def what(self) -> str:
        """What it is, in a message."""
        return "dataset"

    @property
    def folder(self) -> str:
        """The dataset's folder, without a trailing slash."""
        return f"datasets/{self.name}"

    @property
    def plan_lock(self) -> str:
        """What the dataset is made from; written once."""
        return f"{self.folder}/plan.lock.json"

    @property
    def run_lock(self) -> str:
        """The advisory lock of a run on this host (local roots)."""
        return f"{self.folder}/run.lock"

    def table(self, table: Table) -> str:
        """The Lance table `samples`, `reports`, `pairs`, `rejects` or `reviews`."""
        return f"{self.folder}/{table}.lance"

    def embeddings(self, model: str) -> str:
        """The Lance table of one model's embeddings, by sample_id."""
        return f"{self.folder}/embeddings/{valid_name('model name', model)}.lance"

    def ledger_folder(self, stage: Stage) -> str:
        """Prefix of a stage's records."""
        return f"{self.folder}/ledger/{stage}/"

    def ledger_record(self, stage: Stage, unit: int) -> str:
        """The write-once record of a settled unit."""
        return f"{self.ledger_folder(stage)}{unit}.json"

    def digests_folder(self, stage: Stage) -> str:
        """Prefix of the digests of a stage's records, listed with the records themselves."""
        return f"{self.ledger_folder(stage)}digests/"

    def digest(self, stage: Stage, columns: str, sha256: str) -> str:
        """A digest, by what names its columns and by the hash of its bytes."""
        return f"{self.digests_folder(stage)}{columns}/{sha256}.arrow"

    def comparisons_folder(self, max_distance: int) -> str:
        """Prefix of what comparing images by this distance has found."""
        return f"{self.folder}/ledger/comparisons/{max_distance}/"

    def failures_folder(self, stage: Stage, unit: int | None = None) -> str:
        """Prefix of the failures of a stage, or of one of its units."""
        folder = f"{self.folder}/failures/{stage}/"
        return folder if unit is None else f"{folder}{unit}/"

    def failure(self, stage: Stage, unit: int, attempt: str) -> str:
        """One failed attempt."""
        return f"{self.failures_folder(stage, unit)}{valid_name('attempt', attempt)}.json"

    def staging_folder(self, stage: Stage) -> str:
        """Prefix of a stage's staged files."""
        return f"{self.folder}/staging/{stage}/"

    def staged(self, stage: Stage, unit: int, attempt: str) -> str:
        """The output of one attempt at a unit."""
        return f"{self.staging_folder(stage)}{unit}/{valid_name('attempt', attempt)}.arrow"

    @property
    def releases_folder(self) -> str:
        """Prefix of the releases."""
        return f"{self.folder}/releases/"

    def release(self, number: int) -> str:
        """One release, numbered from 1."""
        return f"{self.releases_folder}{number}.json"

    @property
    def slices_folder(self) -> str:
        """Prefix of the slices."""
        return f"{self.folder}/slices/"

    def slice(self, name: str) -> str:
        """A filter over a release, saved under a name."""
        return f"{self.slices_folder}{valid_name('slice name', name)}.json"

    @property
    def studies_folder(self) -> str:
        """Prefix of the blind studies."""
        return f"{self.folder}/studies/"

    def study(self, name: str) -> str:
        """What a blind study shows, and which of it is real."""
        return f"{self.studies_folder}{valid_name('study name', name)}.json"


@dataclass(frozen=True, slots=True)
class StudyLayout:
    """Keys of one study, relative to the store's root."""

    name: str

    def __post_init__(self) -> None:
        valid_name("study name", self.name)

    @property
    def what(self) -> str:
        """What it is, in a message."""
        return "study"

    @property
    def folder(self) -> str:
        """The study's folder, without a trailing slash."""
        return f"studies/{self.name}"

    @property
    def plan_lock(self) -> str:
        """What the study compares; written once."""
        return f"{self.folder}/plan.lock.json"

    @property
    def run_lock(self) -> str:
        """The advisory lock of a run on this host (local roots)."""
        return f"{self.folder}/run.lock"

    @property
    def arms(self) -> str:
        """The data of every arm, as it was when the first cell began; written once."""
        return f"{self.folder}/arms.json"

    @property
    def cells_folder(self) -> str:
        """Prefix of the cells' results."""
        return f"{self.folder}/cells/"

    def cell(self, cell: str) -> str:
        """What a cell found; written once."""
        return f"{self.cells_folder}{valid_name('cell', cell)}.json"

    def cell_scores(self, cell: str, attempt: str, number: int) -> str:
        """What the images of one task were given by an attempt at a cell, whose result names it."""
        return f"{self.folder}/scores/{valid_name('cell', cell)}/{attempt}/{number}.arrow"

    def cell_failures(self, cell: str) -> str:
        """Prefix of a cell's failures."""
        return f"{self.folder}/failures/{valid_name('cell', cell)}/"

    def cell_failure(self, cell: str, number: int) -> str:
        """One failure of a cell, numbered from 1."""
        return f"{self.cell_failures(cell)}{number}.json"

    def report(self, file: str) -> str:
        """A file of the report."""
        return f"{self.folder}/{file}"


def corpus_table(name: str) -> str:
    """The Lance table of a corpus."""
    return f"corpora/{valid_name('corpus name', name)}.lance"


def model_folder(run: str) -> str:
    """The folder of a model run: checkpoints, metrics, plan, release."""
    return f"models/{valid_name('run name', run)}"


def number_of(key: str) -> int | None:
    """The number of `…/<number>.json`; None for whatever else a file manager left there."""
    name = key.rpartition("/")[2].removesuffix(".json")
    return int(name) if key.endswith(".json") and name.isdecimal() else None


def folder_number_of(key: str) -> int | None:
    """The number of `…/<number>/<file>`; None for whatever else a file manager left there."""
    folder = key.rpartition("/")[0].rpartition("/")[2]
    return int(folder) if folder.isdecimal() else None
