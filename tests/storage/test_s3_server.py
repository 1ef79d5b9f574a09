"""The store, the doctor and the race of publishers against a real S3 server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from models.places import local_path
from storage.errors import EngineUnavailable, ObjectMissing, StoreUnavailable, StoreUnfit
from storage.ledger import Ledger
from storage.objects import ObjectInfo, open_store
from storage.places import bring
from storage.records import Stage
from storage.s3 import S3Store
from storage.store_check import check_store
from storage.tables import PublishedTable, open_lance
from tests.storage.flaky_s3 import Fate, Request, flaky
from tests.storage.made import LAYOUT, record
from tests.storage.seaweed import BUCKET, S3Server, seaweedfs, use_server

_PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Store:
    use_server(monkeypatch, server)
    store = open_store(f"s3://{BUCKET}/{tmp_path.name}")
    assert isinstance(store, S3Store)
    return store


def test_s3_objects_behave_as_a_folder_does(s3: S3Store) -> None:
    assert s3.put_if_absent("a/b", b"first")
    assert not s3.put_if_absent("a/b", b"second")
    s3.put("a/c", b"12")
    s3.put("a/c", b"123")
    assert s3.get("a/b") == b"first"
    assert list(s3.list("a/")) == [ObjectInfo("a/b", 5), ObjectInfo("a/c", 3)]
    s3.delete("a/c")
    s3.delete("a/c")
    assert (s3.exists("a/b"), s3.exists("a/c")) == (True, False)
    with pytest.raises(ObjectMissing):
        s3.get("a/c")


def test_s3_folders_are_those_right_under_the_prefix_alone(s3: S3Store) -> None:
    for key in ("a/two/x/1", "a/one/1", "a/file", "b/three/1"):
        s3.put(key, b"1")
    assert list(s3.folders("a")) == ["one", "two"]
    assert list(s3.folders("nowhere")) == []


def test_s3_many_objects_are_deleted_in_few_requests(
    s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.s3._KEYS_PER_DELETE", 3)
    keys = [f"a/{number}" for number in range(7)]
    for key in keys:
        s3.put(key, b"1")
    s3.delete_all(keys[:5])
    s3.delete_all(["absent", *keys[:6]])
    assert [info.key for info in s3.list("")] == keys[6:]
    s3.delete_all([])


def test_s3_large_file_goes_and_comes_in_parts(
    s3: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("storage.s3.PART_BYTES", 5 << 20)
    monkeypatch.setattr("storage.s3_files.PART_BYTES", 5 << 20)
    content = bytes(range(256)) * (11 << 12)  # 11 MiB: two parts and a rest
    (tmp_path / "sent").write_bytes(content)
    s3.put_file("large", tmp_path / "sent")
    s3.get_file("large", tmp_path / "came")
    assert (tmp_path / "came").read_bytes() == content
    assert [info.num_bytes for info in s3.list("large")] == [len(content)]
    with pytest.raises(ObjectMissing):
        s3.get_file("absent", tmp_path / "came")


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where copies are kept: an empty cache, and a process that remembers none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bring.cache_clear()
    yield tmp_path / "cache"
    bring.cache_clear()


def test_s3_file_and_folder_that_an_engine_names_are_brought_once(
    s3: S3Store, brought: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("models/run/bank", b"1")
    s3.put("models/run/bank.old", b"2")
    s3.put("models/run/pipeline/sub/a", b"3")
    s3.put("models/run/pipeline/b", b"4")
    assert local_path(s3.uri("models/run/bank")).read_bytes() == b"1"
    folder = local_path(s3.uri("models/run/pipeline"))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert (folder.name, found) == ("pipeline", {"sub/a", "b"})
    bring.cache_clear()  # as in another process
    monkeypatch.setattr(S3Store, "get_file", None)
    assert local_path(s3.uri("models/run/pipeline")) == folder


def test_s3_file_that_was_replaced_is_brought_anew(s3: S3Store, brought: Path) -> None:
    s3.put("bank", b"1")
    first = local_path(s3.uri("bank"))
    s3.put("bank", b"2")
    bring.cache_clear()
    assert local_path(s3.uri("bank")).read_bytes() == b"2"
    assert first.read_bytes() == b"1"
    assert {path.name[0] for path in (brought / "cxr-factory/places").iterdir()} != {"."}


def test_s3_address_of_nothing_says_so(s3: S3Store, brought: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"expected a file or folder at 's3://.*/absent'"):
        local_path(s3.uri("absent"))
    with pytest.raises(EngineUnavailable, match=r"known kind \(s3\), got 'gs://bucket/bank'"):
        local_path("gs://bucket/bank")


def test_s3_twenty_attempts_agree_on_one_record(s3: S3Store) -> None:
    attempts = [record(Stage.PAINT, 3, (), f"a{number}") for number in range(20)]
    with ThreadPoolExecutor(20) as workers:
        stand = set(workers.map(lambda one: Ledger(s3, LAYOUT).settle(one), attempts))
    assert stand == {Ledger(s3, LAYOUT).record(Stage.PAINT, 3)}


def test_s3_table_out_of_reach_is_unavailable_and_not_absent(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lance raises ValueError for both."""
    patience = {"client_max_retries": "1", "client_retry_timeout": "1"}
    monkeypatch.setattr("storage.s3_access._LANCE_PATIENCE", patience)
    schema = pa.schema([pa.field("unit", pa.int64(), nullable=False)])
    with flaky(server.endpoint) as between:
        use_server(monkeypatch, server, between.endpoint)
        store = open_store(f"s3://{BUCKET}/{tmp_path.name}")
        with pytest.raises(ObjectMissing):
            open_lance(store, "a.lance", None)
        table = PublishedTable(store, "a.lance", schema)
        table.create_if_absent()
        opened = table.open()
        between.fate = lambda _: Fate.CUT
        with pytest.raises(StoreUnavailable, match="no clear answer from the table") as raised:
            open_lance(store, "a.lance", None)
        assert ".rs" not in str(raised.value)
        with pytest.raises(StoreUnavailable, match="no clear answer from the table"):
            table.write_fragments(opened, pa.table({"unit": [1]}, schema=schema))


def test_s3_server_passes_the_doctor(s3: S3Store) -> None:
    assert check_store(s3).num_commit_races == 3
    assert list(s3.list("")) == []


def test_s3_race_of_publishers_under_kills_is_exact(s3: S3Store) -> None:
    """The race of test_exactly_once, on S3."""
    options = ["--kills", "3", "--units", "18", "--unit-size", "4", "--root", s3.root]
    command = [sys.executable, "-m", "benchmarks.exactly_once", *options]
    ran = subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["num_rows"] == 18 * 4


@pytest.mark.parametrize(
    ("ignored", "said"),
    [
        ("doctor/", "expected 1 winner of 20 conditional puts, got 20"),
        ("/_versions/", "expected 1 winner of 2 commits from one version, got 2"),
    ],
)
def test_s3_store_that_ignores_the_condition_of_a_put_is_refused(
    ignored: str, said: str, lax_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fate(request: Request) -> Fate:
        ignores = request.conditional and ignored in request.path
        return Fate.UNCONDITIONAL if ignores else Fate.ANSWERED

    with flaky(lax_server.endpoint, fate) as between:
        use_server(monkeypatch, lax_server, between.endpoint)
        store = open_store(f"s3://{BUCKET}/{tmp_path.name}")
        with pytest.raises(StoreUnfit, match=said):
            check_store(store)
        assert list(store.list("")) == []


@pytest.fixture(scope="module")
def lax_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Looks at no signature, so that headers can be taken away on the way."""
    with seaweedfs(tmp_path_factory.mktemp("lax"), identities=()) as running:
        yield running
