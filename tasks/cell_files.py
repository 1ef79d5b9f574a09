"""The files of a study's cells: what one found is written once, why one failed is noted.

A cell's record names the files of its images' scores and of its figures' draws, copied before it is
put; so a cell is finished or it is not, whenever its process dies, and a later evaluation of its
run changes nothing.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from itertools import count
from typing import Any

from models.studies.results import Cell, FailedCell, LossCurve, MeasuredFigure, ScoredSet
from storage.errors import DamagedObject
from storage.json_files import parse_json
from storage.layout import StudyLayout, number_of
from storage.objects import ObjectStore
from tasks.figure_draws import decode_draws, draws_key
from tasks.image_scores import decode_scores, scores_key
from tasks.study_cells import CellFound

_NOT_STORED = ("cell", "draws_R")  # in the record of a figure: the cell's name is the file's


def finished_cells(store: ObjectStore, layout: StudyLayout) -> set[str]:
    """Names of the cells that have their result; one listing."""
    prefix = layout.cells_folder
    return {one.key.removeprefix(prefix).removesuffix(".json") for one in store.list(prefix)}


def put_cell(store: ObjectStore, layout: StudyLayout, found: CellFound) -> None:
    """Write what a cell found, unless another attempt did before: the first stays."""
    attempt, files = uuid.uuid4().hex, count()

    def copied(kind: str, name: str, source: str) -> dict[str, str]:
        data = store.get(source)
        key = layout.cell_scores(found.cell.name, attempt, next(files))
        store.put(key, data)
        return {"kind": kind, "name": name, "key": key, "sha256": sha256(data).hexdigest()}

    record = asdict(found) | {
        "scores": [copied(*of, scores_key(found.run, *of)) for of in found.scored_tasks],
        "draws": [copied(*of, draws_key(found.run, *of)) for of in found.drawn_tasks],
        "figures": [_without_cell(one) for one in found.figures],
        "curve": _without_cell(found.curve),
    }
    del record["scored_tasks"], record["drawn_tasks"]
    data = json.dumps(record, allow_nan=False).encode()
    store.put_if_absent(layout.cell(found.cell.name), data)


def read_cell(store: ObjectStore, layout: StudyLayout, cell: Cell) -> CellFound:
    """What a finished cell found; its scores and draws are not read.

    Raises:
        ObjectMissing: If it is not finished.
    """
    record = _record(store, layout, cell)
    curve = record.pop("curve")
    scores, figures = record.pop("scores"), record.pop("figures")
    draws = record.pop("draws", [])  # none in cells that were finished before they were kept
    return CellFound(
        **record | {"cell": cell},
        scored_tasks=tuple((one["kind"], one["name"]) for one in scores),
        drawn_tasks=tuple((one["kind"], one["name"]) for one in draws),
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
        for scored in decode_scores(_checked(store, cell, one), store.uri(one["key"])):
            yield ScoredSet(
                cell=cell,
                task=f"{one['kind']}/{one['name']}" + (f", {scored.at}" if scored.at else ""),
                findings=tuple(finding.value for finding in scored.findings),
                labels_NF=scored.labels_NF,
                scores_NF=scored.scores_NF,
                patients=scored.patients,
                views=scored.views,
            )


def read_figures(store: ObjectStore, layout: StudyLayout, cell: Cell) -> Iterator[MeasuredFigure]:
    """The figures of a finished cell, with their draws.

    Raises:
        ObjectMissing: If it is not finished.
        DamagedObject: If a file of draws is not what was put.
    """
    record = _record(store, layout, cell)
    draws = {
        f"{one['kind']}/{one['name']}": decode_draws(
            _checked(store, cell, one), store.uri(one["key"])
        )
        for one in record.get("draws", [])
    }
    for stored in record["figures"]:
        figure = _figure(cell, stored)
        yield replace(figure, draws_R=draws.get(figure.task, {}).get(figure.metric))


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


def _checked(store: ObjectStore, cell: Cell, file: Mapping[str, str]) -> bytes:
    """A file that a cell's record names."""
    data = store.get(file["key"])
    if sha256(data).hexdigest() != file["sha256"]:
        where = store.uri(file["key"])
        raise DamagedObject(f"{where}: expected the bytes that {cell.name} put, got others")
    return data


def _figure(cell: Cell, stored: dict[str, Any]) -> MeasuredFigure:
    interval = stored.pop("interval")
    return MeasuredFigure(cell, interval=(interval[0], interval[1]) if interval else None, **stored)


def _without_cell(record: MeasuredFigure | LossCurve) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name not in _NOT_STORED}
