"""Records for the tests of this room."""

import hashlib
import io
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from storage.layout import DatasetLayout, Table
from storage.ledger import Ledger, LedgerRecord, SampleOutcome
from storage.objects import ObjectStore
from storage.publisher import publish
from storage.records import (
    Entity,
    EntityKind,
    EntityStatus,
    FindingMask,
    GateScore,
    ImageRow,
    JudgeAnswer,
    JudgeRow,
    Outcome,
    Provenance,
    RejectionReason,
    Report,
    ReportRow,
    Sample,
    Severity,
    SourceReport,
    Split,
    Stage,
    View,
)
from storage.releases import Release, create_release
from storage.review_records import Review, ReviewDecision, ReviewReason, Study
from storage.rows import pair_row, to_table
from storage.samples import samples_table
from storage.staging import write_staged
from storage.table_schemas import Lineage, table_schema
from storage.tables import PublishedTable

LAYOUT = DatasetLayout("test-set")
LINEAGE = Lineage("test-set", "f" * 64, restricted=True)
EFFUSION = Entity(
    "pleural effusion", EntityKind.DISEASE, EntityStatus.PRESENT, "left lung base", Severity.MILD
)
UNIT_SIZE = 4


def provenance(attempt: str = "a1", tries: int = 1) -> Provenance:
    return Provenance(
        engine="grammar",
        engine_revision="1",
        attempt=attempt,
        seed=2**62 + 1,
        tries=tries,
        prompt="p",
        prompt_sha256="0" * 64,
        flow_run_id="",
        task_run_id="",
        code_version="0.1.0",
        engine_seconds=0.25,
        settings="{}",
    )


def png(seed: int, side_px: int = 32) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side_px, side_px), dtype=np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def sample(index: int) -> Sample:
    return Sample(
        index=index,
        sample_id=f"{index:032x}",
        unit=index // UNIT_SIZE,
        split=Split.TRAIN,
        entities=(EFFUSION,),
        view=View.AP,
        age_years=61,
        source=SourceReport("openi", f"r{index}", f"p{index}") if index % 2 else None,
    )


def planned_samples(indices: range) -> pa.Table:
    return samples_table(sample(index) for index in indices)


def report_row(index: int, reason: RejectionReason | None = None) -> ReportRow:
    return ReportRow(
        sample=sample(index),
        outcome=Outcome.ACCEPTED if reason is None else Outcome.REJECTED,
        reason=reason,
        report=Report(f"Findings {index}.", f"Impression {index}."),
        entities_found=(EFFUSION,),
        scores=(GateScore("report", "missing entities", 0.0, 0.0, reason is None),),
        provenance=provenance(tries=2),
    )


def image_row(index: int, reason: RejectionReason | None = None) -> ImageRow:
    data = png(index)
    return ImageRow(
        written=report_row(index),
        outcome=Outcome.ACCEPTED if reason is None else Outcome.REJECTED,
        reason=reason,
        png=data,
        sha256=hashlib.sha256(data).hexdigest(),
        width_px=32,
        height_px=32,
        signature=signature(index),
        masks=(FindingMask("pleural effusion", None, b"mask"),),
        scores=(GateScore("technical", "border fraction", 0.1, 0.5, reason is None),),
        provenance=provenance(tries=3),
    )


def quarantined_row(index: int) -> ImageRow:
    return ImageRow(
        written=report_row(index),
        outcome=Outcome.QUARANTINED,
        reason=RejectionReason.ENGINE_FAILED,
        png=None,
        sha256="",
        width_px=0,
        height_px=0,
        signature="",
        masks=(),
        scores=(),
        provenance=provenance(),
    )


def signature(index: int) -> str:
    return hashlib.sha256(f"image {index}".encode()).hexdigest()


def record(
    stage: Stage, unit: int, outcomes: tuple[SampleOutcome, ...], attempt: str = "a1"
) -> LedgerRecord:
    return LedgerRecord(
        stage, unit, attempt, LAYOUT.staged(stage, unit, attempt), 10, "0" * 64, outcomes
    )


def judge_row(index: int, reason: RejectionReason | None = None, image: str = "") -> JudgeRow:
    return JudgeRow(
        index=index,
        sample_id=f"{index:032x}",
        image_sha256=image,
        outcome=Outcome.ACCEPTED if reason is None else Outcome.REJECTED,
        reason=reason,
        answers=(JudgeAnswer("quality", reason is None, "as seen"),),
        scores=(GateScore("judge", "quality", float(reason is None), 1.0, reason is None),),
        provenance=provenance(),
    )


_ROW_TYPES: dict[Stage, type[ReportRow] | type[ImageRow] | type[JudgeRow]] = {
    Stage.WRITE: ReportRow,
    Stage.PAINT: ImageRow,
    Stage.JUDGE: JudgeRow,
}


def settle(
    store: ObjectStore,
    ledger: Ledger,
    stage: Stage,
    unit: int,
    rows: Sequence[ReportRow | ImageRow | JudgeRow],
    attempt: str = "a1",
) -> LedgerRecord:
    """Stage these rows and settle the unit, as a worker does."""
    row_type = _ROW_TYPES[stage]
    assert all(isinstance(row, row_type) for row in rows)
    staged = write_staged(store, LAYOUT, stage, unit, attempt, rows, row_type)
    outcomes = tuple(
        SampleOutcome(
            row.index,
            row.outcome,
            row.reason,
            row.signature if isinstance(row, ImageRow) else "",
        )
        for row in rows
    )
    return ledger.settle(
        LedgerRecord(stage, unit, attempt, staged.key, staged.num_bytes, staged.sha256, outcomes)
    )


def decided(
    sample_id: str,
    reviewer: str,
    decision: ReviewDecision,
    *,
    decision_id: str = "",
    remark: str = "",
) -> Review:
    """A decision as a page would send it; of a blind study where it answers its question."""
    answers = decision in (ReviewDecision.REAL, ReviewDecision.SYNTHETIC)
    return Review(
        decision_id=decision_id or uuid.uuid4().hex,
        sample_id=sample_id,
        reviewer=reviewer,
        decision=decision,
        reason=ReviewReason.ARTEFACT if decision is ReviewDecision.REJECT else None,
        remark=remark,
        at="2026-11-22T12:00:00+00:00",
        release=1,
        study=Study.BLIND if answers else Study.REVIEW,
    )


def released_pairs(store: ObjectStore, **changes: Any) -> Release:
    """A release of three units, landed out of order; `changes` are put in place in every pair."""
    for table in (Table.SAMPLES, Table.REPORTS, Table.REJECTS, Table.PAIRS):
        schema = table_schema(table, LINEAGE)
        PublishedTable(store, LAYOUT.table(table), schema).create_if_absent()
    pairs = PublishedTable(store, LAYOUT.table(Table.PAIRS), schema)
    for unit in (2, 0, 1):
        indices = range(unit * UNIT_SIZE, (unit + 1) * UNIT_SIZE)
        rows = to_table([pair_row(image_row(index)) | changes for index in indices], schema)
        publish(pairs, [unit], {unit: rows}.__getitem__)
    return create_release(store, LAYOUT, LINEAGE, target=None, complete=True)
