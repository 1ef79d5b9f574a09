"""One image with what its source says of it and, where there is one, its report."""

from dataclasses import dataclass
from typing import Any

from storage.readers.columns import SECTIONS
from storage.readers.radiograph import Radiograph
from storage.readers.sections import remove_marks
from storage.records import Split


@dataclass(frozen=True, slots=True)
class Described:
    """What a source says of an image; see `storage.readers.rows.CorpusImage`."""

    image_id: str
    patient_id: str
    labels: tuple[str, ...]
    uncertain_labels: tuple[str, ...]
    view: str | None
    sex: str | None
    age_years: int | None
    follow_up: int
    split: Split


@dataclass(frozen=True, slots=True)
class ReportText:
    """A report as it came, by section; None for a section it lacks."""

    report_id: str
    findings: str | None
    impression: str | None
    indication: str | None
    comparison: str | None

    @property
    def sections(self) -> dict[str, str | None]:
        """By name, as in `columns.SECTIONS`."""
        return {name: getattr(self, name) for name in SECTIONS}


def pair_row(image: Radiograph, described: Described, report: ReportText | None) -> dict[str, Any]:
    """A row of `columns.PAIRS`. Marks are removed from the text for use, kept for the record."""
    as_it_came = report.sections if report else dict.fromkeys(SECTIONS)
    return {
        "image_id": described.image_id,
        "patient_id": described.patient_id,
        "image": image.content,
        "sha256": image.sha256,
        "width_px": image.width_px,
        "height_px": image.height_px,
        "labels": list(described.labels),
        "uncertain_labels": list(described.uncertain_labels),
        "view": described.view,
        "sex": described.sex,
        "age_years": described.age_years,
        "follow_up": described.follow_up,
        "boxes": [],
        "split": described.split,
        "report_id": report.report_id if report else None,
        **{name: remove_marks(text) for name, text in as_it_came.items()},
        "mesh": [],
        "problems": [],
        "as_it_came": as_it_came if report else None,
    }
