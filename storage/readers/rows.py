"""What every reader of real data hands over: rows, what it skipped, and each patient's split."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from storage.records import Split

DEFAULT_FRACTIONS = (0.70, 0.15, 0.15)  # train, validation, test; MGCA's protocol, by patient


@dataclass(frozen=True, slots=True)
class Skipped:
    """One member of a source that gave no row, and why.

    Attributes:
        member: File, line or place in the source.
        reason: What it was, and after a colon the detail: what is alike is counted together.
            Never text of a report: it is shown and logged, of restricted corpora too.
    """

    member: str
    reason: str

    @property
    def kind(self) -> str:
        """The reason without its detail."""
        return self.reason.split(":")[0]


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """One real report. A section is None when the report has none.

    Attributes:
        report_id: Unique in its corpus.
        patient_id: Drives the split.
        findings: Text for use: de-identification marks removed.
        impression: As `findings`.
        indication: As `findings`.
        comparison: As `findings`; names earlier studies.
        mesh: Codes of the source's annotators, as they came ("Opacity/lung/base/left").
        problems: First parts of `mesh`, each once ("Opacity").
        split: Of the patient, fixed at ingest.
    """

    report_id: str
    patient_id: str
    findings: str | None
    impression: str | None
    indication: str | None
    comparison: str | None
    mesh: tuple[str, ...]
    problems: tuple[str, ...]
    split: Split


@dataclass(frozen=True, slots=True)
class Box:
    """A labelled rectangle in pixels of the stored image, origin at its top left corner."""

    label: str
    x_px: float
    y_px: float
    width_px: float
    height_px: float


@dataclass(frozen=True, slots=True)
class Mask:
    """The pixels of one labelled finding, as the source's annotators drew them.

    Attributes:
        label: As those of the image.
        counts: Run lengths of the stored image's size, in the form of `run_lengths`.
    """

    label: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CorpusImage:
    """One real radiograph, with its report where the source has one.

    Attributes:
        image_id: File name (of a folder: path) without its ending, unique in its corpus.
        patient_id: Drives the split.
        image: An 8-bit PNG or JPEG, verified to decode; the file's own bytes where they were one.
        sha256: Of `image`.
        width_px: Of the stored image.
        height_px: Of the stored image.
        labels: Findings the source states; empty when it states none.
        view: "PA" or "AP"; None when the source does not say.
        sex: "F" or "M"; None when the source does not say.
        age_years: 0 to 120; None when absent or impossible.
        follow_up: Number of the study within the patient, from 0.
        boxes: Where the source marked findings; most images have none.
        split: Of the patient, fixed at ingest.
        uncertain_labels: Findings the source states as possible; neither present nor absent.
        masks: Where the source drew findings; few sources do, and a finding may have several.
        report_id: Of its report, which other images of the study may share; None without one.
        findings: Text for use: de-identification marks removed.
        impression: As `findings`.
        indication: As `findings`.
    """

    image_id: str
    patient_id: str
    image: bytes
    sha256: str
    width_px: int
    height_px: int
    labels: tuple[str, ...]
    view: str | None
    sex: str | None
    age_years: int | None
    follow_up: int
    boxes: tuple[Box, ...]
    split: Split
    uncertain_labels: tuple[str, ...] = ()
    masks: tuple[Mask, ...] = ()
    report_id: str | None = None
    findings: str | None = None
    impression: str | None = None
    indication: str | None = None


class CorpusReader(Protocol):
    """Reads one collection of real data as a stream, in a fixed order."""

    @property
    def collection(self) -> str:
        """Whose patients these are: the salt of the split."""
        ...

    @property
    def licence(self) -> str:
        """Of the source, and of what is derived from it."""
        ...

    @property
    def restricted(self) -> bool:
        """Whether this collection is credentialed data, unless its user says otherwise."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Of the rows; one of `storage.readers.columns`."""
        ...

    @property
    def batch_rows(self) -> int:
        """How many rows are held in memory at once."""
        ...

    @property
    def fractions(self) -> tuple[float, float, float] | None:
        """Of train, validation and test patients; None where the source's own split is kept."""
        ...

    def source_hash(self) -> str:
        """SHA-256 that names the source's content, 64 hex digits.

        Called before anything is written: a source that is not what its reader expects, a table
        that is damaged or lacks a column, is refused here.

        Raises:
            ValueError: One line: what was expected, what is there, what to do.
        """
        ...

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A mapping per row as `schema` names its columns, or what was skipped and why."""
        ...


def patient_split(
    collection: str, patient_id: str, fractions: tuple[float, float, float] = DEFAULT_FRACTIONS
) -> Split:
    """The split of a patient: a hash, so it never depends on what else is in the corpus.

    Args:
        collection: Whose patient this is ("nih"). Not the name of an ingested corpus: the same
            patient ingested under two names must not train one model and test another.
        patient_id: As the source writes it.
        fractions: Of train, validation and test; they add to 1.

    Raises:
        ValueError: If a fraction is negative or they do not add to 1.
    """
    check_fractions(fractions)
    digest = hashlib.sha256(f"{collection}:{patient_id}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < fractions[0]:
        return Split.TRAIN
    return Split.VALIDATION if position < fractions[0] + fractions[1] else Split.TEST


def check_fractions(fractions: tuple[float, float, float]) -> None:
    """Refuse fractions that are no partition.

    Raises:
        ValueError: If a fraction is negative or they do not add to 1.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(
            "split fractions must be at least 0 and add to 1 (train, validation, test); "
            f"got {fractions!r}; try {DEFAULT_FRACTIONS}"
        )


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, read as a stream."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
