"""Publishing a dataset's selection: which rows of which unit go to which table."""

from collections.abc import Callable

import pyarrow as pa

from storage.dataset import Dataset
from storage.layout import Table
from storage.publisher import Published, publish
from storage.records import ImageRow, Outcome, ReportRow, Stage
from storage.rows import Row, pair_row, reject_row, report_row, to_table
from storage.selection import Selection
from storage.staging import read_staged
from storage.table_schemas import Lineage, table_schema
from storage.tables import PublishedTable

PUBLISHED = (Table.REPORTS, Table.PAIRS, Table.REJECTS)


def publish_table(
    dataset: Dataset, table: Table, selection: Selection, lineage: Lineage
) -> Published:
    """Publish the final units that one table lacks, exactly once each.

    Args:
        dataset: Whose staged files are read.
        table: Reports, pairs or rejects.
        selection: What is final, by plan and ledger.
        lineage: Goes into the table's metadata.

    Raises:
        DamagedObject: If a staged file is not the one its record names.
        StoreFull: If there is no room; nothing half-written is visible.
    """
    schema = table_schema(table, lineage)
    rows_of = _ROWS[table]

    def unit_rows(unit: int) -> pa.Table:
        return to_table(rows_of(dataset, selection, unit), schema)

    published = PublishedTable(dataset.store, dataset.layout.table(table), schema)
    return publish(published, selection.final_units, unit_rows)


def _report_rows(dataset: Dataset, selection: Selection, unit: int) -> list[Row]:
    """Every report the report gate kept, whatever became of its image."""
    return [
        report_row(row)
        for row in _written(dataset, unit).values()
        if row.outcome is Outcome.ACCEPTED
    ]


def _pair_rows(dataset: Dataset, selection: Selection, unit: int) -> list[Row]:
    """The pairs of the unit that the selection publishes."""
    if not selection.published[unit]:
        return []
    painted = _painted(dataset, unit)
    return [pair_row(painted[index]) for index in selection.published[unit]]


def _reject_rows(dataset: Dataset, selection: Selection, unit: int) -> list[Row]:
    """What a gate refused or no engine call survived, with all that was made of it."""
    decisions = selection.rejects[unit]
    if not decisions:
        return []
    written = _written(dataset, unit)
    at_write = {decision.stage is Stage.WRITE for decision in decisions}
    painted = _painted(dataset, unit) if False in at_write else {}
    return [
        reject_row((written if one.stage is Stage.WRITE else painted)[one.index], one)
        for one in decisions
    ]


def _written(dataset: Dataset, unit: int) -> dict[int, ReportRow]:
    record = dataset.ledger.record(Stage.WRITE, unit)
    rows = read_staged(dataset.store, record.staged, ReportRow)
    return {row.sample.index: row for row in rows}


def _painted(dataset: Dataset, unit: int) -> dict[int, ImageRow]:
    record = dataset.ledger.record(Stage.PAINT, unit)
    rows = read_staged(dataset.store, record.staged, ImageRow)
    return {row.written.sample.index: row for row in rows}


_ROWS: dict[Table, Callable[[Dataset, Selection, int], list[Row]]] = {
    Table.REPORTS: _report_rows,
    Table.PAIRS: _pair_rows,
    Table.REJECTS: _reject_rows,
}
