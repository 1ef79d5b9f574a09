from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from storage.errors import ObjectMissing
from storage.layout import Table
from storage.objects import LocalStore
from storage.publisher import compact, publish
from storage.records import NOT_FOR_CLINICAL_USE
from storage.releases import Release, create_release, open_release, open_table, release_numbers
from storage.rows import Row, pair_row, report_row, sample_row, to_table
from storage.table_schemas import table_schema
from storage.tables import PublishedTable
from tests.storage.made import LAYOUT, LINEAGE, UNIT_SIZE, image_row, sample
from tests.storage.made import report_row as made_report_row


def _table(store: LocalStore, table: Table) -> PublishedTable:
    return PublishedTable(store, LAYOUT.table(table), table_schema(table, LINEAGE))


def _publish(store: LocalStore, *units: int) -> None:
    makers: dict[Table, Callable[[int], Row]] = {
        Table.SAMPLES: lambda index: sample_row(sample(index)),
        Table.REPORTS: lambda index: report_row(made_report_row(index)),
        Table.PAIRS: lambda index: pair_row(image_row(index)),
    }
    _table(store, Table.REJECTS).create_if_absent()
    for table, make in makers.items():
        schema = table_schema(table, LINEAGE)
        for unit in units:
            indices = range(unit * UNIT_SIZE, (unit + 1) * UNIT_SIZE)
            rows = to_table([make(index) for index in indices], schema)
            publish(_table(store, table), [unit], {unit: rows}.__getitem__)


def _release(store: LocalStore, *, complete: bool = True) -> Release:
    return create_release(store, LAYOUT, LINEAGE, target=8, complete=complete)


def test_create_release_names_the_versions_and_tags_them(store: LocalStore) -> None:
    _publish(store, 0)
    release = _release(store)
    assert (release.number, release.release_id) == (1, "test-set@1")
    assert (release.num_accepted, release.target, release.complete) == (UNIT_SIZE, 8, True)
    assert release.restricted
    assert release.notice == NOT_FOR_CLINICAL_USE
    assert set(release.versions) == {"samples", "reports", "pairs", "rejects"}
    for table, version in release.versions.items():
        dataset = _table(store, Table(table)).open()
        assert dataset.tags.list()["release-1"]["version"] == version
    assert open_release(store, LAYOUT) == release


def test_create_release_again_is_the_same_release(store: LocalStore) -> None:
    _publish(store, 0)
    first = _release(store)
    assert _release(store) == first
    assert release_numbers(store, LAYOUT) == [1]


def test_create_release_after_a_barrier_is_the_same_release(store: LocalStore) -> None:
    _publish(store, 0)
    first = _release(store)
    pairs = _table(store, Table.PAIRS)
    pairs.commit(pairs.open(), [])
    assert pairs.open().version > first.versions["pairs"]
    assert _release(store) == first


def test_create_release_after_new_rows_is_the_next_and_the_old_one_stays(
    store: LocalStore,
) -> None:
    _publish(store, 0)
    first = _release(store, complete=False)
    _publish(store, 1)
    compact(_table(store, Table.PAIRS))
    second = _release(store)
    assert second.number == 2
    assert open_release(store, LAYOUT) == second
    assert open_table(store, first, "pairs").count_rows() == UNIT_SIZE
    assert open_table(store, second, Table.PAIRS).count_rows() == 2 * UNIT_SIZE
    blobs = open_table(store, first, "pairs").read_blobs("image", indices=[0])
    assert blobs[0][1] == image_row(0).png


def test_create_release_now_complete_is_the_next(store: LocalStore) -> None:
    _publish(store, 0)
    assert _release(store, complete=False).number == 1
    assert _release(store, complete=True).number == 2


def test_create_release_cut_short_before_the_tags_is_completed(store: LocalStore) -> None:
    _publish(store, 0)
    first = _release(store)
    dataset = _table(store, Table.PAIRS).open()
    dataset.tags.delete("release-1")
    assert _release(store) == first
    assert "release-1" in _table(store, Table.PAIRS).open().tags.list()


def test_create_release_eight_at_once_make_one(store: LocalStore) -> None:
    _publish(store, 0)
    with ThreadPoolExecutor(8) as racers:
        made = list(racers.map(lambda _: _release(store), range(8)))
    assert release_numbers(store, LAYOUT) == [1]
    assert all(replace(one, created_at="") == replace(made[0], created_at="") for one in made)


def test_open_release_absent_says_what_there_is(store: LocalStore) -> None:
    with pytest.raises(ObjectMissing, match="it has none; run generate first"):
        open_release(store, LAYOUT)
    _publish(store, 0)
    release = _release(store)
    with pytest.raises(ObjectMissing, match=r"no release 7 .* it has \[1\]"):
        open_release(store, LAYOUT, 7)
    with pytest.raises(ObjectMissing, match="has no table 'reviews'"):
        open_table(store, release, "reviews")
