import os
from collections.abc import Iterator
from pathlib import Path

import lance
import pytest
from lance.fragment import FragmentMetadata

from storage.errors import CommitRefused
from storage.garbage import Collected, collect_dataset, collect_staged, collect_table
from storage.layout import Table
from storage.ledger import Ledger
from storage.objects import TEMPORARY_PREFIX, LocalStore, ObjectInfo
from storage.publisher import publish
from storage.records import ImageRow, RejectionReason, Stage
from storage.rows import pair_row, report_row, to_table
from storage.selection import Selection, SelectionRules, select
from storage.staging import read_staged, write_staged
from storage.table_schemas import table_schema
from storage.tables import PublishedTable
from storage.units import partition
from tests.storage.made import LAYOUT, LINEAGE, UNIT_SIZE, image_row, settle
from tests.storage.made import report_row as made_report_row

SCHEMA = table_schema(Table.PAIRS, LINEAGE)
KEY = LAYOUT.table(Table.PAIRS)


def _indices(unit: int) -> range:
    return range(unit * UNIT_SIZE, (unit + 1) * UNIT_SIZE)


def _images(unit: int) -> list[ImageRow]:
    return [image_row(index) for index in _indices(unit)]


def _pairs(store: LocalStore) -> PublishedTable:
    table = PublishedTable(store, KEY, SCHEMA)
    table.create_if_absent()
    return table


def _write(table: PublishedTable, unit: int) -> tuple[lance.LanceDataset, list[FragmentMetadata]]:
    """A publisher that has written its fragments and not committed them yet."""
    dataset = table.open()
    rows = to_table([pair_row(row) for row in _images(unit)], SCHEMA)
    return dataset, table.write_fragments(dataset, rows)


def _data_files(store: LocalStore) -> set[str]:
    return {info.key for info in store.list(f"{KEY}/data/")}


def _readable(store: LocalStore) -> int:
    dataset = PublishedTable(store, KEY, SCHEMA).open()
    num_rows: int = dataset.count_rows()
    blobs = dataset.read_blobs("image", indices=list(range(num_rows))) if num_rows else []
    assert all(data for _, data in blobs)
    return num_rows


def test_collect_table_removes_what_a_dead_publisher_left(store: LocalStore) -> None:
    table = _pairs(store)
    table.commit(*_write(table, 0))
    kept = _data_files(store)
    _write(table, 1)
    assert _data_files(store) > kept
    collected = collect_table(store, KEY)
    assert collected.num_files >= 1
    assert collected.num_bytes > 0
    assert _data_files(store) == kept
    assert _readable(store) == UNIT_SIZE


def test_collect_table_removes_transaction_files_of_refused_commits(store: LocalStore) -> None:
    table = _pairs(store)
    first, second = _write(table, 0), _write(table, 1)
    table.commit(*first)
    with pytest.raises(CommitRefused):
        table.commit(*second)
    collect_table(store, KEY)
    named = {
        f"{one.read_version}-{one.uuid}.txn"
        for version in table.open().versions()[1:]
        for one in [table.open().read_transaction(version["version"])]
        if one is not None
    }
    listed = {Path(info.key).name for info in store.list(f"{KEY}/_transactions/")}
    assert listed == named


def test_collect_table_beside_a_live_publisher_makes_it_begin_again(store: LocalStore) -> None:
    """Without the barrier this commit would succeed, and the table could not be read."""
    table = _pairs(store)
    live = _write(table, 0)
    assert collect_table(store, KEY).num_files >= 1
    with pytest.raises(CommitRefused):
        table.commit(*live)
    table.commit(*_write(table, 0))
    assert _readable(store) == UNIT_SIZE


def test_collect_table_publisher_comes_first_stops_the_collection(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = _pairs(store)
    live = _write(table, 0)
    _write(table, 1)
    list_files = store.list

    def list_then_commit(prefix: str) -> Iterator[ObjectInfo]:
        listed = list(list_files(prefix))
        if prefix.endswith("_transactions/") and table.open().version == 1:
            table.commit(*live)
        return iter(listed)

    monkeypatch.setattr(store, "list", list_then_commit)
    assert collect_table(store, KEY) == Collected(0, 0, refused=True)
    assert _readable(store) == UNIT_SIZE


def test_collect_table_with_nothing_to_do_commits_no_barrier(store: LocalStore) -> None:
    table = _pairs(store)
    table.commit(*_write(table, 0))
    version = table.open().version
    assert collect_table(store, KEY) == Collected(0, 0)
    assert table.open().version == version
    assert collect_table(store, "datasets/none/pairs.lance") == Collected(0, 0)


def test_collect_table_keeps_older_versions_and_branches(store: LocalStore) -> None:
    table = _pairs(store)
    for unit in range(3):
        table.commit(*_write(table, unit))
    table.open().create_branch("trial")
    table.open().optimize.compact_files()
    _write(table, 9)
    assert collect_table(store, KEY).num_files >= 1
    for version in table.open().versions():
        dataset = table.open(version["version"])
        num_rows = dataset.count_rows()
        assert num_rows == 0 or len(dataset.read_blobs("image", indices=[num_rows - 1])) == 1
    assert table.open().checkout_version(("trial", None)).count_rows() == 3 * UNIT_SIZE


def test_collect_staged_loser_goes_winner_and_open_units_stay(
    store: LocalStore, ledger: Ledger
) -> None:
    winner = settle(store, ledger, Stage.PAINT, 0, _images(0), "winner")
    settle(store, ledger, Stage.PAINT, 0, _images(0), "loser")
    running = write_staged(store, LAYOUT, Stage.PAINT, 1, "running", _images(1), ImageRow)
    collected = collect_staged(store, LAYOUT, ledger, Stage.PAINT, landed=())
    assert collected.num_files == 1
    listed = {info.key for info in store.list(LAYOUT.staging_folder(Stage.PAINT))}
    assert listed == {winner.file, running.key}
    assert read_staged(store, winner.staged, ImageRow) == _images(0)


def test_collect_staged_published_unit_goes(store: LocalStore, ledger: Ledger) -> None:
    settle(store, ledger, Stage.PAINT, 0, _images(0))
    kept = settle(store, ledger, Stage.PAINT, 1, _images(1))
    assert collect_staged(store, LAYOUT, ledger, Stage.PAINT, landed={0}).num_files == 1
    assert [info.key for info in store.list(LAYOUT.staging_folder(Stage.PAINT))] == [kept.file]


def test_collect_staged_removes_unfinished_puts_of_dead_processes(
    store: LocalStore, ledger: Ledger
) -> None:
    record = settle(store, ledger, Stage.PAINT, 0, _images(0))
    left = Path(store.uri(record.file)).parent / f"{TEMPORARY_PREFIX}dead"
    left.write_bytes(b"half")
    collect_staged(store, LAYOUT, ledger, Stage.PAINT, landed=())
    assert not left.exists()
    assert os.path.exists(store.uri(record.file))  # noqa: PTH110


def _settle_and_select(store: LocalStore, ledger: Ledger, num_units: int, target: int) -> Selection:
    for unit in range(num_units):
        reports = [made_report_row(index) for index in _indices(unit)]
        settle(store, ledger, Stage.WRITE, unit, reports)
        reason = RejectionReason.CONSTANT if unit == 0 else None
        images = [image_row(index, reason if index == 0 else None) for index in _indices(unit)]
        settle(store, ledger, Stage.PAINT, unit, images)
    units = partition(target, num_units * UNIT_SIZE, UNIT_SIZE)
    records = {stage: ledger.settled(stage) for stage in (Stage.WRITE, Stage.PAINT)}
    return select(units, records, SelectionRules(target))


def _staged(store: LocalStore) -> list[str]:
    stages = (Stage.WRITE, Stage.PAINT)
    return [
        f"{stage}/{Path(info.key).parent.name}"
        for stage in stages
        for info in store.list(LAYOUT.staging_folder(stage))
    ]


def test_collect_dataset_keeps_what_a_table_lacks_and_the_surplus(
    store: LocalStore, ledger: Ledger
) -> None:
    """Units 0 and 1 lie below the target of 8, unit 2 gives one pair and keeps three surplus."""
    selection = _settle_and_select(store, ledger, num_units=3, target=2 * UNIT_SIZE)
    assert len(selection.surplus) == 3
    every_file = [f"{stage}/{unit}" for stage in ("write", "paint") for unit in range(3)]

    collect_dataset(store, LAYOUT, ledger, selection)
    assert _staged(store) == every_file
    _publish_pairs(store, selection)
    collect_dataset(store, LAYOUT, ledger, selection)
    assert _staged(store) == every_file  # reports are still lacking
    _publish_reports(store, selection)
    collect_dataset(store, LAYOUT, ledger, selection)
    # unit 0's reject is still lacking, unit 2 holds the surplus
    assert _staged(store) == ["write/0", "write/2", "paint/0", "paint/2"]


def _publish_pairs(store: LocalStore, selection: Selection) -> None:
    for unit, indices in selection.published.items():
        rows = to_table([pair_row(image_row(index)) for index in indices], SCHEMA)
        publish(_pairs(store), [unit], {unit: rows}.__getitem__)


def _publish_reports(store: LocalStore, selection: Selection) -> None:
    schema = table_schema(Table.REPORTS, LINEAGE)
    table = PublishedTable(store, LAYOUT.table(Table.REPORTS), schema)
    for unit in selection.final_units:
        rows = to_table([report_row(made_report_row(index)) for index in _indices(unit)], schema)
        publish(table, [unit], {unit: rows}.__getitem__)
