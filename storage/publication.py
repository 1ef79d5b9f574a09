"""Publishing a dataset's selection: which rows of which unit go to which table."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

import pyarrow as pa

from storage.dataset import Dataset
from storage.layout import Table
from storage.publisher import Published, publish
from storage.records import ImageRow, JudgeRow, Outcome, ReportRow, Stage
from storage.rows import Row, pair_row, reject_row, report_row, to_table
from storage.selection import Selection
from storage.staging import read_staged
from storage.table_schemas import Lineage, table_schema
from storage.tables import PublishedTable

StagedRow = TypeVar("StagedRow", ReportRow, ImageRow, JudgeRow)

PUBLISHED = (Table.REPORTS, Table.PAIRS, Table.REJECTS)
SEARCHED = (Table.PAIRS, Table.REJECTS)  # what the browser shows; their words are indexed


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
    record = dataset.ledger.record(Stage.WRITE, unit)
    rows = read_staged(dataset.store, record.staged, ReportRow)
    return [report_row(row) for row in rows if row.outcome is Outcome.ACCEPTED]


def _pair_rows(dataset: Dataset, selection: Selection, unit: int) -> list[Row]:
    """The pairs of the unit that the selection publishes."""
    indices = selection.published[unit]
    painted = _rows(dataset, selection, Stage.PAINT, unit, indices, ImageRow)
    judged = _rows(dataset, selection, Stage.JUDGE, unit, indices, JudgeRow)
    return [pair_row(painted[index], judged.get(index)) for index in indices]


def _reject_rows(dataset: Dataset, selection: Selection, unit: int) -> list[Row]:
    """What a gate refused or no engine call survived, with all that was made of it."""
    reached: dict[Stage, list[int]] = defaultdict(list)  # the stage that decided -> indices
    for decision in selection.rejects[unit]:
        reached[decision.stage].append(decision.index)
    unwritten, judged_indices = reached[Stage.WRITE], reached[Stage.JUDGE]
    painted_indices = [*reached[Stage.PAINT], *judged_indices]
    written = _rows(dataset, selection, Stage.WRITE, unit, unwritten, ReportRow)
    painted = _rows(dataset, selection, Stage.PAINT, unit, painted_indices, ImageRow)
    judged = _rows(dataset, selection, Stage.JUDGE, unit, judged_indices, JudgeRow)
    return [
        reject_row(
            written[one.index] if one.stage is Stage.WRITE else painted[one.index],
            one,
            judged.get(one.index),
        )
        for one in selection.rejects[unit]
    ]


def _rows(
    dataset: Dataset,
    selection: Selection,
    stage: Stage,
    unit: int,
    indices: Iterable[int],
    row_type: type[StagedRow],
) -> dict[int, StagedRow]:
    """A stage's rows by index, each of the round that its sample ended in.

    None for a stage that the plan has not.
    """
    if stage not in selection.stages:
        return {}
    of_round: dict[int, set[int]] = defaultdict(set)
    for index in indices:
        of_round[selection.round_of.get(index, 1)].add(index)
    found: dict[int, StagedRow] = {}
    for round_number, wanted in of_round.items():
        record = dataset.ledger.record(stage, selection.rounds.number(unit, round_number))
        rows = read_staged(dataset.store, record.staged, row_type)
        found |= {row.index: row for row in rows if row.index in wanted}
    return found


_ROWS: dict[Table, Callable[[Dataset, Selection, int], list[Row]]] = {
    Table.REPORTS: _report_rows,
    Table.PAIRS: _pair_rows,
    Table.REJECTS: _reject_rows,
}
