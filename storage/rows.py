"""Rows of the published tables, from the staged records of a unit."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import lance
import pyarrow as pa
from lance.blob import BlobType

from storage.decisions import Decision
from storage.errors import DamagedObject
from storage.records import (
    Entity,
    FindingMask,
    GateScore,
    ImageRow,
    JudgeAnswer,
    JudgeRow,
    Provenance,
    ReportRow,
    Sample,
)
from storage.schemas import encode_rows
from storage.thumbnails import thumbnail

Row = dict[str, Any]


def to_table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """Rows as a table of this schema, blob columns included."""
    listed = list(rows)
    columns = [_column([row[field.name] for row in listed], field) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def sample_row(sample: Sample) -> Row:
    """A row of samples; the first columns of every other table."""
    source = sample.source
    return {
        "sample_id": sample.sample_id,
        "index": sample.index,
        "unit": sample.unit,
        "split": sample.split,
        "entities_requested": encode_rows(sample.entities, Entity),
        "view": sample.view,
        "sex": sample.sex,
        "age_years": sample.age_years,
        "source_corpus": source.corpus if source else None,
        "source_report_id": source.report_id if source else None,
        "source_patient_id": source.patient_id if source else None,
    }


def report_row(row: ReportRow) -> Row:
    """A row of reports."""
    assert row.report is not None, row.sample.sample_id
    return sample_row(row.sample) | _report_columns(row)


def pair_row(row: ImageRow, judged: JudgeRow | None = None) -> Row:
    """A row of pairs; `judged` is what the judge said of the image, if the plan has one.

    Raises:
        DamagedObject: If the image is not the one whose hash the painter's stage recorded.
    """
    assert row.png, row.written.sample.sample_id
    _check_image(row, row.png)
    columns = report_row(row.written) | _image_columns(row) | {"thumbnail": thumbnail(row.png)}
    return columns | _judge_columns(judged, columns)


def reject_row(
    row: ReportRow | ImageRow, decision: Decision, judged: JudgeRow | None = None
) -> Row:
    """A row of rejects: all that was made before a gate said no; null where nothing was."""
    written = row if isinstance(row, ReportRow) else row.written
    columns = sample_row(written.sample) | _report_columns(written)
    if isinstance(row, ImageRow):
        columns |= _image_columns(row)
        columns["thumbnail"] = thumbnail(row.png) if row.png else None
    else:
        columns |= dict.fromkeys(_IMAGE_COLUMNS)
    columns |= _judge_columns(judged, columns)
    columns["scores"] = columns["scores"] + encode_rows(_repeat_scores(decision), GateScore)
    return columns | {
        "stage": decision.stage,
        "outcome": decision.outcome,
        "reason": decision.reason,
    }


_IMAGE_COLUMNS = (
    "image",
    "thumbnail",
    "sha256",
    "width_px",
    "height_px",
    "signature",
    "painted",
    "masks",
)


def _report_columns(row: ReportRow) -> Row:
    return {
        "findings": row.report.findings if row.report else None,
        "impression": row.report.impression if row.report else None,
        "entities_found": encode_rows(row.entities_found, Entity),
        "tries": row.provenance.tries,
        "scores": encode_rows(row.scores, GateScore),
        "written": encode_rows([row.provenance], Provenance)[0],
    }


def _image_columns(row: ImageRow) -> Row:
    return {
        "image": row.png,
        "sha256": row.sha256,
        "width_px": row.width_px,
        "height_px": row.height_px,
        "signature": row.signature,
        "tries": row.written.provenance.tries + row.provenance.tries,
        "scores": encode_rows([*row.written.scores, *row.scores], GateScore),
        "painted": encode_rows([row.provenance], Provenance)[0],
        "masks": encode_rows(row.masks, FindingMask),
    }


def _judge_columns(row: JudgeRow | None, columns: Row) -> Row:
    """What the judge adds to the columns so far."""
    if row is None:
        return {"judged": None, "answers": []}
    return {
        "judged": encode_rows([row.provenance], Provenance)[0],
        "answers": encode_rows(row.answers, JudgeAnswer),
        "tries": columns["tries"] + row.provenance.tries,
        "scores": [*columns["scores"], *encode_rows(row.scores, GateScore)],
    }


def _repeat_scores(decision: Decision) -> Sequence[GateScore]:
    """The distance to the twin, for a near-duplicate."""
    if decision.twin is None:
        return ()
    twin = decision.twin
    return [
        GateScore(
            gate="near-duplicate",
            measure=f"bits that differ from sample {twin.index}",
            value=float(twin.distance),
            threshold=float(twin.max_distance),
            passed=False,
        )
    ]


def _check_image(row: ImageRow, png: bytes) -> None:
    found = hashlib.sha256(png).hexdigest()
    if found != row.sha256:
        raise DamagedObject(
            f"image of sample {row.written.sample.sample_id}: expected sha256 "
            f"{row.sha256[:12]}…, got {found[:12]}…; the painting stage recorded another image"
        )


def _column(values: list[Any], field: pa.Field) -> pa.Array:
    if isinstance(field.type, BlobType):
        return lance.blob_array(values)
    return pa.array(values, type=field.type)
