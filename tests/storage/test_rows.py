import io
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from storage.decisions import Decision
from storage.errors import DamagedObject
from storage.layout import Table
from storage.near_duplicates import Twin
from storage.objects import LocalStore
from storage.records import NOT_FOR_CLINICAL_USE, Outcome, RejectionReason, Stage
from storage.rows import pair_row, reject_row, report_row, sample_row, to_table
from storage.table_schemas import table_schema
from storage.tables import PublishedTable
from storage.thumbnails import MAX_BYTES, MAX_SIDE_PX, thumbnail
from tests.storage.made import (
    EFFUSION,
    LAYOUT,
    LINEAGE,
    image_row,
    png,
    quarantined_row,
    sample,
)
from tests.storage.made import (
    report_row as made_report_row,
)


def _stored(store: LocalStore, table: Table, rows: list[dict[str, Any]]) -> Any:
    schema = table_schema(table, LINEAGE)
    published = PublishedTable(store, LAYOUT.table(table), schema)
    published.create_if_absent()
    dataset = published.open()
    return published.commit(dataset, published.write_fragments(dataset, to_table(rows, schema)))


def test_pair_row_reads_back_from_lance(store: LocalStore) -> None:
    row = image_row(1)
    dataset = _stored(store, Table.PAIRS, [pair_row(row), pair_row(image_row(2))])
    found = dataset.to_table(columns=[n for n in dataset.schema.names if n != "image"]).to_pylist()[
        0
    ]
    assert found["sample_id"] == row.written.sample.sample_id
    assert (found["index"], found["unit"], found["split"], found["view"]) == (1, 0, "train", "AP")
    assert (found["findings"], found["impression"]) == ("Findings 1.", "Impression 1.")
    assert found["entities_requested"][0]["text"] == EFFUSION.text
    assert found["entities_found"][0]["severity"] == "mild"
    assert (found["source_corpus"], found["source_patient_id"]) == ("openi", "p1")
    assert (found["sex"], found["age_years"]) == (None, 61)
    assert found["tries"] == 5
    assert [score["gate"] for score in found["scores"]] == ["report", "technical"]
    assert found["written"]["seed"] == found["painted"]["seed"] == 2**62 + 1
    assert found["masks"] == [{"text": "pleural effusion", "anatomy": None, "png": b"mask"}]
    ((_, blob),) = dataset.read_blobs("image", indices=[0])
    assert blob == row.png


def test_tables_are_marked_synthetic_and_restricted(store: LocalStore) -> None:
    for table in (Table.SAMPLES, Table.REPORTS, Table.PAIRS, Table.REJECTS):
        published = PublishedTable(store, LAYOUT.table(table), table_schema(table, LINEAGE))
        published.create_if_absent()
        dataset = published.open()
        assert dataset.schema.metadata[b"notice"] == NOT_FOR_CLINICAL_USE.encode()
        assert dataset.schema.metadata[b"restricted"] == b"true"
        assert dataset.data_storage_version == "2.2"
        assert dataset.has_stable_row_ids


def test_pair_row_other_image_than_recorded_is_refused() -> None:
    with pytest.raises(DamagedObject, match="another image"):
        pair_row(replace(image_row(0), png=png(99)))


def test_reject_rows_of_every_kind_are_stored(store: LocalStore) -> None:
    constant = RejectionReason.CONSTANT
    missing = RejectionReason.MISSING_ENTITY
    twin = Twin(index=0, distance=3, max_distance=8)
    rows = [
        reject_row(
            made_report_row(0, missing),
            Decision(0, 0, Stage.WRITE, Outcome.REJECTED, missing),
        ),
        reject_row(
            replace(made_report_row(1), report=None),
            Decision(1, 0, Stage.WRITE, Outcome.QUARANTINED, RejectionReason.ENGINE_FAILED),
        ),
        reject_row(image_row(2, constant), Decision(2, 0, Stage.PAINT, Outcome.REJECTED, constant)),
        reject_row(
            quarantined_row(3),
            Decision(3, 0, Stage.PAINT, Outcome.QUARANTINED, RejectionReason.ENGINE_FAILED),
        ),
        reject_row(
            image_row(4),
            Decision(4, 1, Stage.PAINT, Outcome.REJECTED, RejectionReason.NEAR_DUPLICATE, twin),
        ),
    ]
    found = _stored(store, Table.REJECTS, rows).to_table().to_pylist()
    assert [row["reason"] for row in found] == [
        "missing entity",
        "engine failed",
        "constant",
        "engine failed",
        "near duplicate",
    ]
    assert [row["stage"] for row in found] == ["write", "write", "paint", "paint", "paint"]
    assert [row["image"] is None for row in found] == [True, True, False, True, False]
    assert found[0]["findings"] == "Findings 0."
    assert found[0]["painted"] is None
    assert found[1]["findings"] is None
    assert found[2]["image"] == image_row(2).png
    score = found[4]["scores"][-1]
    assert (score["value"], score["threshold"], score["passed"]) == (3.0, 8.0, False)


def test_sample_and_report_rows_fit_their_tables(store: LocalStore) -> None:
    assert _stored(store, Table.SAMPLES, [sample_row(sample(0))]).count_rows() == 1
    assert _stored(store, Table.REPORTS, [report_row(made_report_row(0))]).count_rows() == 1


def test_to_table_without_rows_has_the_schema() -> None:
    schema = table_schema(Table.PAIRS, LINEAGE)
    assert to_table([], schema).schema.equals(schema)
    assert isinstance(to_table([], schema), pa.Table)


def test_table_schema_of_reviews_is_refused() -> None:
    with pytest.raises(ValueError, match="reviews are written by people"):
        table_schema(Table.REVIEWS, LINEAGE)


@pytest.mark.parametrize("side", [32, 512])
def test_thumbnail_is_small_and_readable(side: int) -> None:
    made = thumbnail(png(0, side))  # noise: the worst case
    with Image.open(io.BytesIO(made)) as image:
        assert image.size == (min(side, MAX_SIDE_PX),) * 2
    assert len(made) <= MAX_BYTES
