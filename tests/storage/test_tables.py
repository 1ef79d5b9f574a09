from pathlib import Path

import lance
import pyarrow as pa
import pytest
from lance.fragment import write_fragments

from storage.errors import CommitRefused, ObjectMissing, StoreFull, StoreUnavailable
from storage.objects import LocalStore
from storage.tables import PublishedTable, lance_errors, published_units

SCHEMA = pa.schema([pa.field("unit", pa.int64(), nullable=False)], metadata={"notice": "x"})


def _table(store: LocalStore) -> PublishedTable:
    table = PublishedTable(store, "t.lance", SCHEMA)
    table.create_if_absent()
    return table


def _rows(*units: int) -> pa.Table:
    return pa.table({"unit": pa.array(units, pa.int64())}, schema=SCHEMA)


def _units(table: PublishedTable) -> list[int]:
    units: list[int] = table.open().to_table()["unit"].to_pylist()
    return sorted(units)


def test_commit_from_the_current_version_adds_rows(store: LocalStore) -> None:
    table = _table(store)
    first = table.open()
    second = table.commit(first, table.write_fragments(first, _rows(1, 1)))
    table.commit(second, table.write_fragments(second, _rows(2)))
    assert _units(table) == [1, 1, 2]
    assert published_units(table.open()) == {1, 2}
    assert published_units(table.open(second.version)) == {1}


def test_commit_from_a_passed_version_is_refused(store: LocalStore) -> None:
    table = _table(store)
    mine, theirs = table.open(), table.open()
    table.commit(theirs, table.write_fragments(theirs, _rows(1)))
    with pytest.raises(CommitRefused, match="changed since it was read"):
        table.commit(mine, table.write_fragments(mine, _rows(1)))
    assert _units(table) == [1]


def test_commit_after_a_barrier_or_a_compaction_is_refused(store: LocalStore) -> None:
    table = _table(store)
    for _ in range(2):
        dataset = table.open()
        table.commit(dataset, table.write_fragments(dataset, _rows(1)))
    before = table.open()
    table.commit(table.open(), [])
    with pytest.raises(CommitRefused):
        table.commit(before, table.write_fragments(before, _rows(2)))
    before = table.open()
    table.open().optimize.compact_files()
    with pytest.raises(CommitRefused):
        table.commit(before, table.write_fragments(before, _rows(2)))
    assert _units(table) == [1, 1]


def test_commit_beside_a_tag_goes_through(store: LocalStore) -> None:
    table = _table(store)
    dataset = table.open()
    fragments = table.write_fragments(dataset, _rows(1))
    table.open().tags.create("release-1", 1)
    table.commit(dataset, fragments)
    assert _units(table) == [1]


def test_rows_keep_stable_ids_over_compaction(store: LocalStore) -> None:
    table = _table(store)
    for unit in range(3):
        dataset = table.open()
        table.commit(dataset, table.write_fragments(dataset, _rows(unit, unit)))

    def ids() -> list[dict[str, int]]:
        rows: list[dict[str, int]] = table.open().scanner(with_row_id=True).to_table().to_pylist()
        return rows

    before = ids()
    table.open().optimize.compact_files()
    assert len(table.open().get_fragments()) == 1
    assert ids() == before
    assert len({row["_rowid"] for row in before}) == 6


def test_create_if_absent_late_creator_empties_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both saw no table; the other created and filled it before our creation arrived."""
    table = _table(store)
    dataset = table.open()
    table.commit(dataset, table.write_fragments(dataset, _rows(7)))
    late = PublishedTable(store, "t.lance", SCHEMA)
    monkeypatch.setattr(late, "exists", lambda: False)
    late.create_if_absent()
    assert _units(table) == [7]


def test_lance_create_that_comes_late_would_empty_the_table(store: LocalStore) -> None:
    """Why `create_if_absent` does not use it; when this fails, Lance has mended it."""
    uri = store.uri("t.lance")
    late = write_fragments(
        SCHEMA.empty_table(),
        uri,
        schema=SCHEMA,
        mode="create",
        return_transaction=True,
        data_storage_version="2.2",
    )
    table = _table(store)
    dataset = table.open()
    table.commit(dataset, table.write_fragments(dataset, _rows(7)))
    lance.LanceDataset.commit(uri, late)
    assert _units(table) == []


def test_open_absent_table_or_version_is_missing(store: LocalStore) -> None:
    with pytest.raises(ObjectMissing, match=r"no table 't\.lance'"):
        PublishedTable(store, "t.lance", SCHEMA).open()
    with pytest.raises(ObjectMissing, match="no version 9 of the table"):
        _table(store).open(9)


def test_lance_errors_full_disk_and_unclear_answers_differ() -> None:
    with pytest.raises(StoreFull, match="free space"), lance_errors("t"):
        raise OSError("LanceError(IO): No space left on device (os error 28)")
    with pytest.raises(StoreUnavailable, match="no clear answer"), lance_errors("t"):
        raise OSError("LanceError(IO): connection reset")
    with pytest.raises(CommitRefused), lance_errors("t"):
        raise OSError("Retryable commit conflict for version 3")


def test_create_if_absent_leaves_nothing_but_the_manifest(store: LocalStore) -> None:
    _table(store)
    files = [path.name for path in Path(store.root).rglob("*") if path.is_file()]
    assert files == ["18446744073709551614.manifest"]
