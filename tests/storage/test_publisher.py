import ast
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lance
import pyarrow as pa
import pytest
from lance.fragment import FragmentMetadata

from storage import publisher
from storage.errors import CommitRefused, DamagedObject, ObjectMissing, StoreUnavailable
from storage.objects import LocalStore
from storage.publisher import GroupLimits, add_columns, compact, publish
from storage.tables import PublishedTable

SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("unit", pa.int64(), nullable=False),
        lance.blob_field("image", nullable=False),
    ]
)
SIZE = 3


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


def _rows(unit: int) -> pa.Table:
    ids = [f"{unit}-{position}" for position in range(SIZE)]
    images = lance.blob_array([bytes([unit]) * 100 for _ in ids])
    return pa.table({"sample_id": ids, "unit": [unit] * SIZE, "image": images}, schema=SCHEMA)


def _ids(table: PublishedTable) -> list[str]:
    ids: list[str] = table.open().to_table(columns=["sample_id"])["sample_id"].to_pylist()
    return sorted(ids)


def _expected(units: Sequence[int]) -> list[str]:
    return sorted(f"{unit}-{position}" for unit in units for position in range(SIZE))


class _Faulty(PublishedTable):
    """A table whose first commits end as told: "land" or "lose", both without a clear answer."""

    def __init__(self, store: LocalStore, *endings: str) -> None:
        super().__init__(store, "t.lance", SCHEMA)
        self.endings = list(endings)
        self.offered: list[str] = []

    def commit(
        self, dataset: lance.LanceDataset, fragments: Sequence[FragmentMetadata]
    ) -> lance.LanceDataset:
        self.offered += [file.path for one in fragments for file in one.files]
        ending = self.endings.pop(0) if self.endings else "answer"
        if ending == "lose":
            raise StoreUnavailable("time-out")
        if ending == "refuse":
            super().commit(dataset, [])  # somebody else came first
        landed = super().commit(dataset, fragments)
        if ending == "land":
            raise StoreUnavailable("time-out")
        return landed


def test_publish_groups_units_into_few_fragments(store: LocalStore) -> None:
    table = PublishedTable(store, "t.lance", SCHEMA)
    told: list[int] = []
    done = publish(table, range(100), _rows, limits=GroupLimits(num_rows=120), on_units=told.append)
    assert (done.num_units, done.num_rows, done.num_commits) == (100, 300, 3)
    assert told == [40, 40, 20]
    assert len(table.open().get_fragments()) == 3
    assert _ids(table) == _expected(range(100))
    assert done.version == table.open().version


def test_publish_group_ends_at_the_byte_limit(store: LocalStore) -> None:
    table = PublishedTable(store, "t.lance", SCHEMA)
    done = publish(table, range(6), _rows, limits=GroupLimits(num_bytes=_rows(0).nbytes * 2))
    assert done.num_commits == 3


def test_publish_again_reads_nothing_and_commits_nothing(store: LocalStore) -> None:
    table = PublishedTable(store, "t.lance", SCHEMA)
    first = publish(table, range(4), _rows)
    read: list[int] = []

    def watched(unit: int) -> pa.Table:
        read.append(unit)
        return _rows(unit)

    again = publish(table, range(4), watched)
    assert (again.num_commits, again.version, read) == (0, first.version, [])
    publish(table, range(6), watched)
    assert sorted(read) == [4, 5]
    assert _ids(table) == _expected(range(6))


def test_publish_units_without_rows_are_harmless(store: LocalStore) -> None:
    table = PublishedTable(store, "t.lance", SCHEMA)

    def odd_only(unit: int) -> pa.Table:
        return _rows(unit) if unit % 2 else SCHEMA.empty_table()

    publish(table, range(4), odd_only)
    assert publish(table, range(4), odd_only).num_commits == 0
    assert publish(table, [0, 2], odd_only).num_units == 0
    assert _ids(table) == _expected([1, 3])


def test_publish_small_rest_waits_for_more(store: LocalStore) -> None:
    table = PublishedTable(store, "t.lance", SCHEMA)
    limits = GroupLimits(num_rows=6)
    assert publish(table, range(3), _rows, limits=limits, min_rows=6).num_units == 2
    assert publish(table, range(4), _rows, limits=limits, min_rows=6).num_units == 2
    assert publish(table, range(5), _rows, limits=limits).num_units == 1
    assert _ids(table) == _expected(range(5))


@pytest.mark.parametrize("ending", ["land", "lose", "refuse"])
def test_publish_after_no_clear_answer_begins_again_with_new_fragments(
    store: LocalStore, ending: str
) -> None:
    table = _Faulty(store, ending)
    publish(table, range(4), _rows, limits=GroupLimits(num_rows=6))
    assert _ids(table) == _expected(range(4))
    assert len(set(table.offered)) == len(table.offered)  # none was offered twice


def test_publish_never_a_clear_answer_gives_up_without_doubling(store: LocalStore) -> None:
    table = _Faulty(store, *["lose"] * 50)
    with pytest.raises(StoreUnavailable):
        publish(table, range(2), _rows)
    table.endings = []
    publish(table, range(2), _rows)
    assert _ids(table) == _expected(range(2))


def test_publish_eight_racing_publishers_lose_none_and_double_none(store: LocalStore) -> None:
    def race(_: int) -> int:
        table = PublishedTable(store, "t.lance", SCHEMA)
        return publish(table, range(24), _rows, limits=GroupLimits(num_rows=9)).num_rows

    with ThreadPoolExecutor(8) as publishers:
        counts = list(publishers.map(race, range(8)))
    table = PublishedTable(store, "t.lance", SCHEMA)
    assert _ids(table) == _expected(range(24))
    assert sum(counts) == 24 * SIZE
    blobs = table.open().read_blobs("image", indices=list(range(24 * SIZE)))
    assert all(data is not None and len(data) == 100 for _, data in blobs)


def test_publish_damaged_unit_stops_and_keeps_what_landed(store: LocalStore) -> None:
    table = PublishedTable(store, "t.lance", SCHEMA)

    def damaged(unit: int) -> pa.Table:
        if unit == 3:
            raise DamagedObject("staged file of unit 3")
        return _rows(unit)

    with pytest.raises(DamagedObject, match="unit 3"):
        publish(table, range(6), damaged, limits=GroupLimits(num_rows=6))
    assert _ids(table) == _expected([0, 1])


def test_publish_staged_file_collected_by_another_is_passed_over(store: LocalStore) -> None:
    """Another publisher published unit 1 and its file was collected since we opened the table."""
    table = PublishedTable(store, "t.lance", SCHEMA)

    def collected_meanwhile(unit: int) -> pa.Table:
        if unit == 1 and _ids(table) != _expected([1]):
            publish(PublishedTable(store, "t.lance", SCHEMA), [1], _rows)
        if unit == 1:
            raise ObjectMissing("staging/paint/1")
        return _rows(unit)

    publish(table, range(3), collected_meanwhile)
    assert _ids(table) == _expected(range(3))


def test_publish_staged_file_missing_for_no_reason_is_an_error(store: LocalStore) -> None:
    def missing(unit: int) -> pa.Table:
        raise ObjectMissing(f"staging/paint/{unit}")

    with pytest.raises(ObjectMissing, match="staging/paint/0"):
        publish(PublishedTable(store, "t.lance", SCHEMA), [0], missing)


def test_compact_joins_fragments_and_keeps_released_versions(store: LocalStore) -> None:
    table = PublishedTable(store, "t.lance", SCHEMA)
    done = publish(table, range(8), _rows, limits=GroupLimits(num_rows=SIZE))
    assert compact(table) > done.version
    assert len(table.open().get_fragments()) == 1
    assert _ids(table) == _expected(range(8))
    assert table.open(done.version).count_rows() == 8 * SIZE
    images = table.open().read_blobs("image", indices=[0, 23], preserve_order=True)
    assert [data for _, data in images] == [bytes([0]) * 100, bytes([7]) * 100]


def test_add_columns_matches_by_id_and_refuses_older_writers(store: LocalStore) -> None:
    table = PublishedTable(store, "t.lance", SCHEMA)
    publish(table, range(2), _rows)
    before = table.open()
    add_columns(table, pa.table({"sample_id": ["1-0", "0-2"], "note": ["one", "zero"]}))
    found = table.open().to_table(columns=["sample_id", "note"]).to_pylist()
    notes = {row["sample_id"]: row["note"] for row in found}
    assert (notes["1-0"], notes["0-2"], notes["0-0"]) == ("one", "zero", None)
    with pytest.raises(CommitRefused):
        table.commit(before, table.write_fragments(before, _rows(2)))


_BANNED_CALLS = {"cleanup_old_versions", "merge_insert", "restore", "write_dataset"}
_BANNED_OPERATIONS = {"Append", "Overwrite", "Restore", "Delete"}
_ROOMS = ("storage", "tasks", "flows", "browser", "models")
_ELSEWHERE = {
    "storage/tables.py": ["write_dataset()"],  # an empty table in a scratch folder
    "storage/entity_tables.py": ["write_dataset()"],  # what belongs to a corpus is not published
    "storage/embedding_tables.py": ["write_dataset()"],  # made of a release, replaced whole
    "models/gates/real_images.py": ["write_dataset()"],
    "storage/ingestion.py": ["LanceOperation.Overwrite"],
}


def _banned(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_lance_operation(node):
            found.append(f"LanceOperation.{node.attr}")
        if isinstance(node, ast.Call):
            found += _banned_call(node)
    return found


def _is_lance_operation(node: ast.Attribute) -> bool:
    owner = ast.unparse(node.value)
    return node.attr in _BANNED_OPERATIONS and owner.endswith("LanceOperation")


def _banned_call(call: ast.Call) -> list[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    return [f"{name}()"] if name in _BANNED_CALLS else []


def test_source_uses_no_operation_that_is_no_compare_and_swap() -> None:
    root = Path(publisher.__file__).parents[1]
    sources: list[Path] = [path for room in _ROOMS for path in (root / room).rglob("*.py")]
    assert len(sources) > 20
    found = {
        name: banned
        for path in sources
        for name in [path.relative_to(root).as_posix()]
        if (banned := set(_banned(ast.parse(path.read_text()))) - set(_ELSEWHERE.get(name, ())))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "lance.LanceOperation.Append(f)",
        "LanceOperation.Overwrite(s, f)",
        "lance.write_dataset(t, uri, mode='append')",
        "lance.write_dataset(t, uri)",
        "dataset.restore()",
        "dataset.cleanup_old_versions()",
    ],
)
def test_banned_scan_sees_every_form(line: str) -> None:
    assert len(_banned(ast.parse(line))) == 1
