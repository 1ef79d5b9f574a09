"""What the columns of a folder's CSV are called."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class FolderColumns:
    """The name of each column, by what it holds.

    A field that is None, or empty, stands for the column of the field's own name, if there is one.

    Attributes:
        image: Path of the image, from the CSV's folder or the folder `images` in it; the one
            column that must be there.
        patient_id: Keeps a patient in one split. Without it every image is another patient.
        report_id: Where images of a patient share a report; without it each image has its own.
        text: A whole report, cut into sections at its headings.
        findings: The findings section; wins over `text`.
        impression: The impression section; wins over `text`.
        indication: Why the image was taken; wins over `text`.
        labels: One column of findings between | or ;, or one column a finding: 1 is present,
            -1 uncertain, anything else absent.
        view: PA or AP, also as "AP Supine"; lateral images are skipped.
        sex: F or M, also in words.
        age: In years, also as "058Y".
        split: train, validation or test, to keep a split the source has; else by patient.
        inverted: MONOCHROME1, 1 or yes for a PNG or JPEG whose lowest value is white.
    """

    image: str | None = None
    patient_id: str | None = None
    report_id: str | None = None
    text: str | None = None
    findings: str | None = None
    impression: str | None = None
    indication: str | None = None
    labels: tuple[str, ...] = ()
    view: str | None = None
    sex: str | None = None
    age: str | None = None
    split: str | None = None
    inverted: str | None = None


ROLES = tuple(role.name for role in fields(FolderColumns))


def parse_columns(settings: Iterable[str]) -> FolderColumns:
    """Columns from words such as `image=path` and `labels=Edema`; `labels` may come repeatedly.

    Raises:
        ValueError: If a word is no such setting, or a role comes twice.
    """
    named: dict[str, Any] = {}
    for setting in settings:
        role, equals, column = setting.partition("=")
        if role not in ROLES or not equals or not column:
            raise ValueError(
                f"--column must be ROLE=NAME with one of {', '.join(ROLES)}; got {setting!r}"
            )
        if role in named and role != "labels":
            raise ValueError(f"--column {role} must come once, got {named[role]!r} and {column!r}")
        named[role] = (*named.get(role, ()), column) if role == "labels" else column
    return FolderColumns(**named)
