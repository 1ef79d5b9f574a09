"""The planned samples of a dataset: published once, read back by unit."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from storage.dataset import Dataset
from storage.layout import Table
from storage.publisher import Published, publish
from storage.records import Entity, Sample, Sex, SourceReport, Split, View
from storage.rows import sample_row, to_table
from storage.schemas import decode_rows
from storage.table_schemas import Lineage, table_schema
from storage.tables import PublishedTable, open_lance
from storage.units import Unit


def publish_samples(
    dataset: Dataset,
    lineage: Lineage,
    units: Sequence[Unit],
    sample_of: Callable[[int], Sample],
) -> Published:
    """Write every candidate's request, reserves included; a second call finds them written.

    Args:
        dataset: Where to.
        lineage: Goes into the table's metadata.
        units: All units of the plan.
        sample_of: The sample of an index; the same for every caller.
    """
    schema = table_schema(Table.SAMPLES, lineage)
    table = PublishedTable(dataset.store, dataset.layout.table(Table.SAMPLES), schema)
    by_number = {unit.number: unit for unit in units}
    return publish(
        table,
        by_number,
        lambda number: to_table(
            [sample_row(sample_of(index)) for index in by_number[number].indices], schema
        ),
    )


def read_samples(dataset: Dataset, units: Iterable[int]) -> dict[int, list[Sample]]:
    """The samples of some units, in order of index.

    Raises:
        ObjectMissing: If the dataset's samples are not planned yet.
    """
    wanted = sorted(units)
    table = open_lance(dataset.store, dataset.layout.table(Table.SAMPLES), None)
    among = ", ".join(str(unit) for unit in wanted)
    rows = table.scanner(filter=f"unit IN ({among})").to_table().sort_by("index").to_pylist()
    samples = [sample_of(row) for row in rows]
    found = {unit: list(group) for unit, group in groupby(samples, key=lambda one: one.unit)}
    assert list(found) == wanted, f"units {wanted} were planned, samples has {list(found)}"
    return found


def requested_entities(dataset: Dataset) -> pa.Table:
    """Every entity that a sample is to state: its `index`, and the entity's `text` and `status`.

    Raises:
        ObjectMissing: If the dataset's samples are not planned yet.
    """
    table = open_lance(dataset.store, dataset.layout.table(Table.SAMPLES), None)
    read = table.to_table(columns=["index", "entities_requested"])
    lists = read["entities_requested"].combine_chunks()
    entities = pc.list_flatten(lists)
    return pa.table(
        {
            "index": read["index"].combine_chunks().take(pc.list_parent_indices(lists)),
            "text": pc.struct_field(entities, "text"),
            "status": pc.struct_field(entities, "status"),
        }
    )


def sample_of(row: dict[str, Any]) -> Sample:
    """The sample in a row of any published table."""
    return Sample(
        index=row["index"],
        sample_id=row["sample_id"],
        unit=row["unit"],
        split=Split(row["split"]),
        entities=tuple(decode_rows(row["entities_requested"], Entity)),
        view=View(row["view"]),
        sex=Sex(row["sex"]) if row["sex"] else None,
        age_years=row["age_years"],
        source=_source(row),
    )


def _source(row: dict[str, Any]) -> SourceReport | None:
    if row["source_corpus"] is None:
        return None
    return SourceReport(row["source_corpus"], row["source_report_id"], row["source_patient_id"])
