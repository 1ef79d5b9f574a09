"""Which public datasets lie below a folder, by their layout; nothing but tables' heads is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shlex import quote

from storage.public_datasets import DATASETS, DatasetTable, PublicDataset
from storage.readers.csv_lines import require_columns
from storage.readers.labelled import what_is_in


class Presence(StrEnum):
    """What a look at a folder says of a dataset."""

    PRESENT = "present"
    ABSENT = "absent"
    OTHER_LAYOUT = "other layout"


@dataclass(frozen=True, slots=True)
class DatasetFound:
    """One dataset, and whether it is there.

    Attributes:
        name: As `cxr-factory ingest` calls it.
        presence: Whether it is there.
        folder: Where it is, or ought to be; None for one that is absent.
        said: For a person, one line: how to bring it in, how to get it, or what is wrong with it.
    """

    name: str
    presence: Presence
    folder: str | None
    said: str


def find_datasets(below: Path) -> list[DatasetFound]:
    """Look for every public dataset in a folder and in those directly in it.

    A folder that is called as a dataset (`rsna`) is taken for it, whatever it holds; any other
    only if all the tables are in it.

    Raises:
        ValueError: If there is no such folder.
    """
    if not below.is_dir():
        raise ValueError(
            f"expected a folder that holds datasets, got {str(below)!r}, which is none; "
            "name it with --folder"
        )
    folders = [below, *sorted(path for path in below.iterdir() if path.is_dir())]
    return [_find(dataset, below, folders) for dataset in DATASETS]


def layout_problem(dataset: PublicDataset, folder: Path) -> str | None:
    """What keeps a folder from being this dataset, in one line; None for one that is.

    Args:
        dataset: Which.
        folder: That is taken for it.
    """
    for table in dataset.tables:
        found = _file_of(table, folder)
        if found is None:
            return (
                f"expected {' or '.join(table.patterns)} in {str(folder)!r}, "
                f"found {what_is_in(folder)}"
            )
        if table.columns:
            try:
                require_columns(found, table.columns)
            except ValueError as error:
                return f"{str(folder)!r}: {error}"
    if not any(next(folder.glob(pattern), None) for pattern in dataset.images):
        return (
            f"expected images as {' or '.join(dataset.images)} in {str(folder)!r}, "
            f"found {what_is_in(folder)}"
        )
    return None


def _find(dataset: PublicDataset, below: Path, folders: list[Path]) -> DatasetFound:
    name = dataset.kind.value
    for folder in _candidates(dataset, below, folders):
        if problem := layout_problem(dataset, folder):
            return DatasetFound(name, Presence.OTHER_LAYOUT, str(folder), problem)
        command = f"cxr-factory ingest {name} {quote(str(folder))} --name {name}"
        return DatasetFound(name, Presence.PRESENT, str(folder), command)
    expected = " and ".join(table.patterns[0] for table in dataset.tables)
    said = f"no folder with {expected}; get it at {dataset.address} ({dataset.access})"
    return DatasetFound(name, Presence.ABSENT, None, said)


def _candidates(dataset: PublicDataset, below: Path, folders: list[Path]) -> Iterator[Path]:
    """Folders to take for a dataset, the likeliest first."""
    if (below / dataset.kind).is_dir():
        yield below / dataset.kind
    for folder in folders:
        if all(_file_of(table, folder) for table in dataset.tables):
            yield folder


def _file_of(table: DatasetTable, folder: Path) -> Path | None:
    found = (path for pattern in table.patterns for path in sorted(folder.glob(pattern)))
    return next((path for path in found if path.is_file()), None)
