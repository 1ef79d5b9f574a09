"""Exports: chosen pairs of a release in a folder of their own, whole or not at all."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from storage.choice import Choice
from storage.errors import DamagedObject, StoreFull
from storage.export_formats import BATCH_ROWS, FORMATS, ExportFormat
from storage.layout import Table
from storage.objects import ObjectStore
from storage.records import NOT_FOR_CLINICAL_USE, Split
from storage.releases import open_table
from storage.tables import lance_errors

EXPORT_FILE = "export.json"
CARD_FILE = "README.md"
_COLUMNS = (
    *("sample_id", "index", "unit", "split", "findings", "impression"),
    *("entities_requested", "entities_found", "view", "sex", "age_years"),
    *("source_corpus", "source_report_id", "source_patient_id", "tries", "scores"),
    *("sha256", "width_px", "height_px", "masks", "written", "painted", "judged", "answers"),
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported, as `export.json` in the folder says it.

    Attributes:
        release: Id of the release.
        fingerprint: Of the dataset's plan.
        choice: What of the release was taken, as JSON; empty where all of it was.
        restricted: Derived from credentialed data, whose terms go with it.
        num_pairs: By split.
    """

    release: str
    fingerprint: str
    choice: str
    restricted: bool
    format: str
    num_pairs: dict[str, int]
    notice: str = NOT_FOR_CLINICAL_USE


def export_pairs(
    store: ObjectStore, choice: Choice, export_format: ExportFormat, target: Path
) -> Exported:
    """Write the chosen pairs into a new folder.

    It is filled beside its name (`.<name>.<process>.partial`) and renamed once it is whole.

    Raises:
        ValueError: If the target exists, or its parent does not.
        DamagedObject: If an image is not the one whose hash the release has.
        StoreFull: If there is no room.
    """
    require_new(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        exported = _write(store, choice, export_format, partial)
        require_new(target)
        partial.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreFull(
            f"{target}: expected room to write, the disk or quota is full; free space and export "
            "again, nothing of this one is left"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return exported


def require_new(target: Path) -> None:
    """Refuse to export over what exists.

    Raises:
        ValueError: If the target exists, or its parent does not.
    """
    if target.exists():
        raise ValueError(f"target must be a new folder, {str(target)!r} exists; name another")
    if not target.parent.is_dir():
        raise ValueError(f"target must lie in a folder, {str(target.parent)!r} is none; make it")


def _write(
    store: ObjectStore, choice: Choice, export_format: ExportFormat, folder: Path
) -> Exported:
    dataset = open_table(store, choice.release, Table.PAIRS)
    num_pairs = {}
    for split, rows in _rows_by_split(dataset, choice):
        if len(rows):
            num_pairs[str(split)] = len(rows)
            batches = _batches(dataset, rows, choice.release.restricted)
            FORMATS[export_format](folder, split, len(rows), batches)
    release = choice.release
    exported = Exported(
        release=release.release_id,
        fingerprint=release.fingerprint,
        choice=choice.described,
        restricted=release.restricted,
        format=str(export_format),
        num_pairs=num_pairs,
    )
    if export_format is ExportFormat.HF:
        (folder / CARD_FILE).write_text(dataset_card(exported))
    (folder / EXPORT_FILE).write_text(json.dumps(asdict(exported), indent=2) + "\n")
    return exported


def dataset_card(exported: Exported) -> str:
    """What a folder says of itself on Hugging Face's hub, and to `load_dataset`."""
    header = {
        "pretty_name": exported.release,
        "license": "other",
        "tags": ["synthetic", "chest-x-ray", "not-for-clinical-use"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"}
                    for split in exported.num_pairs
                ],
            }
        ],
    }
    counts = ", ".join(f"{count} {split}" for split, count in exported.num_pairs.items())
    terms = "\n\nDerived from credentialed data: its terms hold here." * exported.restricted
    return (
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n# {exported.release}\n\n"
        f"{exported.notice}{terms}\n\nPairs: {counts}. Plan: `{exported.fingerprint}`.\n"
    )


def _rows_by_split(
    dataset: lance.LanceDataset, choice: Choice
) -> Iterator[tuple[Split, NDArray[np.int64]]]:
    """Positions of a split's chosen pairs in the table, in the order of their index."""
    with lance_errors(dataset.uri):
        table = dataset.to_table(columns=["sample_id", "index", "split"])
    splits = np.array(table["split"].to_pylist(), object)
    chosen = np.ones(len(table), bool)
    if choice.sample_ids is not None:
        ids = table["sample_id"].to_pylist()
        chosen = np.array([one in choice.sample_ids for one in ids], bool)
    order = np.argsort(table["index"].to_numpy(), kind="stable")
    for split in Split:
        yield split, order[(chosen & (splits == str(split)))[order]]


def _batches(
    dataset: lance.LanceDataset, rows: NDArray[np.int64], restricted: bool
) -> Iterator[pa.Table]:
    for start in range(0, len(rows), BATCH_ROWS):
        indices = rows[start : start + BATCH_ROWS].tolist()
        with lance_errors(dataset.uri):
            table = dataset.take(indices, columns=list(_COLUMNS))
            blobs = dataset.read_blobs("image", indices=indices, preserve_order=True)
        images = [png for _, png in blobs]
        _check_images(table, images)
        marks = {"notice": NOT_FOR_CLINICAL_USE, "restricted": restricted}
        for name, value in marks.items():
            table = table.append_column(name, pa.array([value] * len(table)))
        yield table.append_column("image", pa.array(images, pa.binary()))


def _check_images(table: pa.Table, images: list[Any]) -> None:
    named = zip(table["sample_id"].to_pylist(), table["sha256"].to_pylist(), images, strict=True)
    for sample, expected, png in named:
        if hashlib.sha256(png).hexdigest() != expected:
            raise DamagedObject(
                f"image of sample {sample}: expected sha256 {expected[:12]}…, got another; "
                "the release is damaged"
            )
