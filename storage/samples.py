"""The planned samples of a dataset: published once, read back by unit."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.dataset import Dataset
from storage.layout import Table
from storage.publisher import GroupLimits, Published, publish
from storage.records import Entity, Sample, Sex, SourceReport, Split, View
from storage.rows import sample_row, to_table
from storage.schemas import decode_rows
from storage.table_schemas import Lineage, sample_schema, table_schema
from storage.tables import PublishedTable, open_lance
from storage.units import Unit

SamplesOf = Callable[[range], pa.Table]  # of a range of indices, as `sample_schema`
_LIMITS = GroupLimits(num_rows=1 << 16)  # rows of samples are small: 16 fragments a million
_SAMPLES_TOGETHER = 1 << 13  # planned at once; bounds memory


def publish_samples(
    dataset: Dataset, lineage: Lineage, units: Sequence[Unit], samples_of: SamplesOf
) -> Published:
    """Write every candidate's request, reserves included; a second call finds them written.

    Args:
        dataset: Where to.
        lineage: Goes into the table's metadata.
        units: All units of the plan.
        samples_of: The samples of a range of indices, as `sample_schema`; the same for every
            caller.
    """
    schema = table_schema(Table.SAMPLES, lineage)
    table = PublishedTable(dataset.store, dataset.layout.table(Table.SAMPLES), schema)
    blocks = _Blocks(units, samples_of, schema)
    return publish(table, range(len(units)), blocks.rows_of, limits=_LIMITS)


def samples_table(samples: Iterable[Sample]) -> pa.Table:
    """Samples as `sample_schema`."""
    return to_table([sample_row(sample) for sample in samples], sample_schema())


def planned_table(
    indices: range, units: Sequence[Unit], sample_ids: Sequence[str], drawn: Mapping[str, pa.Array]
) -> pa.Table:
    """Columns of drawn samples as `sample_schema`; no real report is their source.

    Args:
        indices: Of the samples, without gaps.
        units: All units of the plan.
        sample_ids: The id of each.
        drawn: What was drawn, by name of column.
    """
    index = np.arange(indices.start, indices.stop)
    starts = np.array([unit.start for unit in units])
    columns = {
        "sample_id": pa.array(sample_ids, pa.string()),
        "index": pa.array(index),
        "unit": pa.array(np.searchsorted(starts, index, side="right") - 1),
        **drawn,
    }
    schema = sample_schema()
    sources = {
        name: pa.nulls(len(index), pa.string()) for name in schema.names if name not in columns
    }
    return pa.Table.from_arrays([(columns | sources)[name] for name in schema.names], schema=schema)


class _Blocks:
    """Rows of units, made for many units at once: a column costs little more for 8,000 than for 32.

    The publisher asks unit by unit, in order, and from several threads.
    """

    def __init__(self, units: Sequence[Unit], samples_of: SamplesOf, schema: pa.Schema) -> None:
        self._units = units
        self._samples_of = samples_of
        self._schema = schema
        self._units_together = max(1, _SAMPLES_TOGETHER // units[0].num_samples)
        self._lock = Lock()
        self._made: dict[int, pa.Table] = {}

    def rows_of(self, number: int) -> pa.Table:
        block = number // self._units_together
        with self._lock:
            if block not in self._made:
                last = {made: table for made, table in self._made.items() if made == block - 1}
                self._made = last | {block: self._make(block)}
            rows = self._made[block]
        unit, first = self._units[number], self._units[block * self._units_together]
        return rows.slice(unit.start - first.start, unit.num_samples)

    def _make(self, block: int) -> pa.Table:
        first = block * self._units_together
        units = self._units[first : first + self._units_together]
        samples = self._samples_of(range(units[0].start, units[-1].stop))
        return samples.replace_schema_metadata(self._schema.metadata)


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


def requested_entities(dataset: Dataset) -> Iterator[pa.Table]:
    """Every entity that a sample is to state: its `index`, and the entity's `text` and `status`.

    In parts, since together they may be tens of millions.

    Raises:
        ObjectMissing: If the dataset's samples are not planned yet.
    """
    table = open_lance(dataset.store, dataset.layout.table(Table.SAMPLES), None)
    scanner = table.scanner(columns=["index", "entities_requested"], batch_size=_SAMPLES_TOGETHER)
    for read in scanner.to_batches():
        lists = read["entities_requested"]
        entities = pc.list_flatten(lists)
        yield pa.table(
            {
                "index": read["index"].take(pc.list_parent_indices(lists)),
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
