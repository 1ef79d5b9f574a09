"""A dataset from settled units to its release: what lands in which table, and what may go."""

from storage.dataset import Dataset
from storage.garbage import collect_dataset
from storage.layout import Table
from storage.ledger import Ledger
from storage.objects import LocalStore
from storage.publication import PUBLISHED, publish_table
from storage.records import RejectionReason, Stage
from storage.releases import create_release, open_table
from storage.samples import publish_samples
from storage.selection import Selection, SelectionRules, select
from storage.units import partition
from tests.storage.made import (
    LAYOUT,
    LINEAGE,
    UNIT_SIZE,
    image_row,
    planned_samples,
    quarantined_row,
    report_row,
    settle,
)

NUM_UNITS = 3
UNITS = partition(None, NUM_UNITS * UNIT_SIZE, UNIT_SIZE)


def _settle_all(store: LocalStore, ledger: Ledger) -> Selection:
    """Index 0 is refused at write, 1 at paint, 2 quarantined; unit 2 is refused whole at write."""
    for unit in UNITS:
        missing = RejectionReason.MISSING_ENTITY
        reports = [
            report_row(index, missing if index == 0 or unit.number == 2 else None)
            for index in unit.indices
        ]
        settle(store, ledger, Stage.WRITE, unit.number, reports)
        images = [
            quarantined_row(index)
            if index == 2
            else image_row(index, RejectionReason.CONSTANT if index == 1 else None)
            for index in unit.indices
            if index != 0
        ]
        if unit.number != 2:
            settle(store, ledger, Stage.PAINT, unit.number, images)
    records = {stage: ledger.settled(stage) for stage in (Stage.WRITE, Stage.PAINT)}
    return select(UNITS, records, SelectionRules(None))


def _publish(dataset: Dataset, selection: Selection) -> int:
    samples = publish_samples(dataset, LINEAGE, UNITS, planned_samples)
    done = [publish_table(dataset, table, selection, LINEAGE) for table in PUBLISHED]
    return samples.num_rows + sum(one.num_rows for one in done)


def test_publish_select_collect_release_and_everything_again(
    store: LocalStore, ledger: Ledger
) -> None:
    selection = _settle_all(store, ledger)
    dataset = Dataset(store, LAYOUT, ledger)
    assert selection.complete
    assert _publish(dataset, selection) > 0
    assert any(one.num_files for one in collect_dataset(store, LAYOUT, ledger, selection))
    release = create_release(store, LAYOUT, LINEAGE, target=None, complete=selection.complete)

    def indices(table: Table) -> list[int]:
        found: list[int] = (
            open_table(store, release, table).to_table(columns=["index"])["index"].to_pylist()
        )
        return sorted(found)

    assert indices(Table.SAMPLES) == list(range(12))
    assert indices(Table.REPORTS) == list(range(1, 8))
    assert indices(Table.PAIRS) == list(range(3, 8))
    assert indices(Table.REJECTS) == [0, 1, 2, 8, 9, 10, 11]
    assert release.num_accepted == selection.num_published == 5

    assert _publish(dataset, selection) == 0  # though staged files are gone
    again = create_release(store, LAYOUT, LINEAGE, target=None, complete=selection.complete)
    assert again == release
