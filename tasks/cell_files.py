"""The files of a study's cells: what one found is written once, why one failed is noted.

A cell's record names the files of its images' scores, copied before it is put; so a cell is
finished or it is not, whenever its process dies, and a later evaluation of its run changes nothing.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from models.studies.results import Cell, FailedCell, LossCurve, MeasuredFigure, ScoredSet
from storage.errors import DamagedObject
from storage.json_files import parse_json
from storage.layout import StudyLayout, number_of
from storage.objects import ObjectStore
from tasks.image_scores import decode_scores, scores_key
from tasks.study_cells import CellFound


def finished_cells(store: ObjectStore, layout: StudyLayout) -> set[str]:
    """Names of the cells that have their result; one listing."""
    prefix = layout.cells_folder
    return {one.key.removeprefix(prefix).removesuffix(".json") for one in store.list(prefix)}


def put_cell(store: ObjectStore, layout: StudyLayout, found: CellFound) -> None:
    """Write what a cell found, unless another attempt did before: the first stays."""
    attempt = uuid.uuid4().hex
    scores = []
    for number, (kind, name) in enumerate(found.scored_tasks):
        data = store.get(scores_key(found.run, kind, name))
        key = layout.cell_scores(found.cell.name, attempt, number)
        store.put(key, data)
        digest = sha256(data).hexdigest()
        scores.append({"kind": kind, "name": name, "key": key, "sha256": digest})
    record = asdict(found) | {
        "scores": scores,
        "figures": [_without_cell(one) for one in found.figures],
        "curve": _without_cell(found.curve),
    }
    del record["scored_tasks"]
    data = json.dumps(record, allow_nan=False).encode()
    store.put_if_absent(layout.cell(found.cell.name), data)


def read_cell(store: ObjectStore, layout: StudyLayout, cell: Cell) -> CellFound:
    """What a finished cell found; its scores are not read.

    Raises:
        ObjectMissing: If it is not finished.
    """
    record = _record(store, layout, cell)
    curve = record.pop("curve")
    scores, figures = record.pop("scores"), record.pop("figures")
    return CellFound(
        **record | {"cell": cell},
        scored_tasks=tuple((one["kind"], one["name"]) for one in scores),
        figures=tuple(_figure(cell, one) for one in figures),
        curve=LossCurve(cell, tuple(curve["steps"]), tuple(curve["losses"])),
    )


def read_scored(store: ObjectStore, layout: StudyLayout, cell: Cell) -> Iterator[ScoredSet]:
    """What a finished cell gave the images of each classification task.

    Raises:
        ObjectMissing: If it is not finished.
        DamagedObject: If a file of scores is not what was put.
    """
    for one in _record(store, layout, cell)["scores"]:
        data, where = store.get(one["key"]), store.uri(one["key"])
        if sha256(data).hexdigest() != one["sha256"]:
            raise DamagedObject(f"{where}: expected the bytes that {cell.name} put, got others")
        for scored in decode_scores(data, where):
            yield ScoredSet(
                cell=cell,
                task=f"{one['kind']}/{one['name']}" + (f", {scored.at}" if scored.at else ""),
                findings=tuple(finding.value for finding in scored.findings),
                labels_NF=scored.labels_NF,
                scores_NF=scored.scores_NF,
                patients=scored.patients,
                views=scored.views,
            )


def note_failure(store: ObjectStore, layout: StudyLayout, cell: Cell, reason: str) -> None:
    """Keep why an attempt at a cell failed, in one line, beside those of earlier attempts."""
    data = json.dumps({"cell": asdict(cell), "reason": " ".join(reason.split())}).encode()
    number = num_failures(store, layout, cell) + 1
    while not store.put_if_absent(layout.cell_failure(cell.name, number), data):
        number += 1


def num_failures(store: ObjectStore, layout: StudyLayout, cell: Cell) -> int:
    """How many attempts at a cell said why they failed."""
    keys = [one.key for one in store.list(layout.cell_failures(cell.name))]
    return max((number_of(key) or 0 for key in keys), default=0)


def last_failure(store: ObjectStore, layout: StudyLayout, cell: Cell) -> FailedCell:
    """Why a cell that is not finished has no result."""
    number = num_failures(store, layout, cell)
    if not number:
        return FailedCell(cell, "its run ended without a word; run the study again")
    key = layout.cell_failure(cell.name, number)
    return FailedCell(cell, parse_json(store.get(key), store.uri(key))["reason"])


def _record(store: ObjectStore, layout: StudyLayout, cell: Cell) -> dict[str, Any]:
    key = layout.cell(cell.name)
    return parse_json(store.get(key), store.uri(key))


def _figure(cell: Cell, stored: dict[str, Any]) -> MeasuredFigure:
    interval = stored.pop("interval")
    return MeasuredFigure(cell, interval=(interval[0], interval[1]) if interval else None, **stored)


def _without_cell(record: MeasuredFigure | LossCurve) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "cell"}
