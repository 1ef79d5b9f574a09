"""Listed DICOM files, with what their headers say of view, sex and age."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from storage.readers.labelled import Listed
from storage.readers.radiograph import UNREADABLE
from storage.readers.rows import Skipped
from storage.readers.values import age_years, is_lateral, sex_of, view_of


def described_by_header(listed: Iterable[Listed | Skipped]) -> Iterator[Listed | Skipped]:
    """Each image with view, sex and age of its header; a lateral view is skipped.

    A missing file goes on as it is listed: reading it will say so.
    """
    from storage.readers.dicom import read_tags  # half a second, for those who need it

    for one in listed:
        if isinstance(one, Skipped) or not one.path.is_file():
            yield one
            continue
        try:
            tags = read_tags(one.path)
        except ValueError as error:
            yield Skipped(one.name, f"{UNREADABLE}: {error}")
            continue
        if is_lateral(tags["ViewPosition"]):
            yield Skipped(one.name, "lateral view")
            continue
        described = replace(
            one.described,
            view=view_of(tags["ViewPosition"]) or one.described.view,
            sex=sex_of(tags["PatientSex"]),
            age_years=age_years(tags["PatientAge"]),
        )
        yield replace(one, described=described)
