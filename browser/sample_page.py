"""All that a release has of one sample."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from browser.grid import Card, cards
from browser.library import Library
from browser.marking import Span, mark
from browser.nearest_real import NearestReal, nearest_real
from browser.open_tables import OpenTable
from browser.problems import not_found
from storage.layout import Table
from storage.records import Entity, EntityKind, GateScore, JudgeAnswer
from storage.schemas import decode_rows
from storage.tables import lance_errors

_BLOBS = ("image", "thumbnail")
_NUM_ALIKE = 8
_STAGES = {"write": "written", "paint": "painted", "judge": "judged"}


@dataclass(frozen=True, slots=True)
class EntityLine:
    """One entity, asked of the report or found in it.

    Attributes:
        comparison: "as asked", "missing", "extra", or "place" for the anatomy of what was asked.
    """

    text: str
    kind: str
    status: str
    anatomy: str
    severity: str
    comparison: str


@dataclass(frozen=True, slots=True)
class MaskLine:
    """Where the painter placed a finding; its picture is by number."""

    number: int
    text: str
    anatomy: str


@dataclass(frozen=True, slots=True)
class StageLine:
    """How one stage made its part.

    Attributes:
        fields: All that is stored, in order, the links apart.
        flow_run_id: Prefect's; empty outside Prefect.
        task_run_id: Prefect's; empty outside Prefect.
    """

    stage: str
    fields: dict[str, str]
    flow_run_id: str
    task_run_id: str


@dataclass(frozen=True, slots=True)
class SampleDetail:
    """One sample with everything that is stored of it.

    Attributes:
        facts: Index, unit, split, view and what else is plain.
        refused: Stage, outcome and reason of a reject; empty for a pair.
        sha256: Of the image; empty where there is none.
        make_again: The command that makes a pair once more; empty for a reject.
        nearest_real: The training image nearest to it; null where no gate recorded one.
        alike: Samples whose reports share most entities with this one's.
        look_alike: Samples whose images look most like this one's.
    """

    sample_id: str
    facts: dict[str, str]
    refused: dict[str, str]
    findings: list[Span]
    impression: list[Span]
    entities: list[EntityLine]
    scores: list[GateScore]
    answers: list[JudgeAnswer]
    masks: list[MaskLine]
    sha256: str
    width_px: int
    height_px: int
    stages: list[StageLine]
    make_again: str
    nearest_real: NearestReal | None
    alike: list[Card]
    look_alike: list[Card]


def sample_detail(library: Library, opened: OpenTable, sample_id: str) -> SampleDetail:
    """A sample by its id.

    Args:
        library: Whose.
        opened: Its table.
        sample_id: 32 hex digits, or what somebody wrote in their place.

    Raises:
        Problem: If the table has none of this id.
    """
    position = row_of(opened, sample_id)
    columns = [name for name in opened.dataset.schema.names if name not in _BLOBS]
    with lance_errors(opened.dataset.uri):
        (row,) = opened.dataset.take([position], columns=columns).to_pylist()
    found = decode_rows(row["entities_found"] or (), Entity)
    scores = decode_rows(row["scores"] or (), GateScore)
    beside = opened.answers.neighbours(position, _NUM_ALIKE)
    shown = cards(opened, [*beside.alike, *beside.look_alike])
    is_pair = opened.table is Table.PAIRS
    refused = {} if is_pair else {name: row[name] for name in ("stage", "outcome", "reason")}
    return SampleDetail(
        sample_id=sample_id,
        facts=_facts(row),
        refused=refused,
        findings=mark(row["findings"] or "", found),
        impression=mark(row["impression"] or "", found),
        entities=compare(decode_rows(row["entities_requested"], Entity), found),
        scores=scores,
        answers=decode_rows(
            row.get("answers") or (), JudgeAnswer
        ),  # a release of an older version has no such column
        masks=[
            MaskLine(number, mask["text"], mask["anatomy"] or "")
            for number, mask in enumerate(row["masks"] or ())
        ],
        sha256=row["sha256"] or "",
        width_px=row["width_px"] or 0,
        height_px=row["height_px"] or 0,
        stages=[_stage(stage, row[column]) for stage, column in _STAGES.items() if row.get(column)],
        make_again=_make_again(opened.release.dataset, sample_id, library.store.root)
        if is_pair
        else "",
        nearest_real=nearest_real(library, opened.release.dataset, scores),
        alike=shown[: len(beside.alike)],
        look_alike=shown[len(beside.alike) :],
    )


def row_of(opened: OpenTable, sample_id: str) -> int:
    """The row of a sample id.

    Raises:
        Problem: If the table has none of this id.
    """
    position = opened.index.row_of_sample(sample_id)
    if position is None:
        raise not_found(
            f"Release {opened.release.number} of {opened.release.dataset!r} has no sample "
            f"{sample_id[:64]!r} among its {opened.table}.",
            "It may be of another release or table.",
        )
    return position


def compare(requested: Sequence[Entity], found: Sequence[Entity]) -> list[EntityLine]:
    """What was asked for, then what the report says beside it.

    The anatomy that a requested finding was to be placed in is no extra, and none that is missing.
    """
    said = {entity.key for entity in found}
    asked = {entity.key for entity in requested}
    places = {entity.anatomy for entity in requested}
    lines = [_line(entity, "as asked" if entity.key in said else "missing") for entity in requested]
    for entity in found:
        if entity.key in asked:
            continue
        is_place = entity.kind is EntityKind.ANATOMY and entity.text in places
        lines.append(_line(entity, "place" if is_place else "extra"))
    return lines


def _line(entity: Entity, comparison: str) -> EntityLine:
    return EntityLine(
        text=entity.text,
        kind=str(entity.kind),
        status=str(entity.status),
        anatomy=entity.anatomy or "",
        severity=str(entity.severity or ""),
        comparison=comparison,
    )


def _facts(row: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "index": row["index"],
        "unit": row["unit"],
        "split": row["split"],
        "view": row["view"],
        "sex": row["sex"],
        "age": None if row["age_years"] is None else f"{row['age_years']} years",
        "tries": row["tries"],
        "image": f"{row['width_px']} × {row['height_px']} px" if row["width_px"] else None,
        "source report": row["source_report_id"],
        "source patient": row["source_patient_id"],
        "source corpus": row["source_corpus"],
    }
    return {name: str(value) for name, value in facts.items() if value is not None}


def _stage(stage: str, provenance: Mapping[str, Any]) -> StageLine:
    plain = {name: value for name, value in provenance.items() if name not in _SHOWN_APART}
    try:
        settings = json.loads(provenance["settings"])
    except ValueError:  # another package's engine may describe itself in words
        settings = {"settings": provenance["settings"]}
    fields = plain | (settings if isinstance(settings, dict) else {"settings": settings})
    return StageLine(
        stage=stage,
        fields={name.replace("_", " "): _shown(value) for name, value in fields.items()},
        flow_run_id=provenance["flow_run_id"],
        task_run_id=provenance["task_run_id"],
    )


_SHOWN_APART = ("settings", "flow_run_id", "task_run_id")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _make_again(dataset: str, sample_id: str, root: str) -> str:
    return shlex.join(["cxr-factory", "make-again", dataset, sample_id, "--root", root])
