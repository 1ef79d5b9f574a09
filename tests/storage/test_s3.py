import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from models.places import local_path
from storage.errors import (
    EngineUnavailable,
    ObjectMissing,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnfit,
)
from storage.ledger import Ledger
from storage.objects import ObjectInfo, open_store
from storage.places import bring
from storage.records import Stage
from storage.s3 import S3Store
from storage.s3_access import S3Access
from storage.store_check import check_store
from storage.tables import PublishedTable, open_lance
from tests.storage.flaky_s3 import Fate, Request, flaky
from tests.storage.made import LAYOUT, record
from tests.storage.seaweed import BUCKET, S3Server, seaweedfs, use_server

_PROJECT = Path(__file__).parents[2]


class _Answers:
    """Stands for boto3's client where an answer cannot be provoked: gives the ones it was told."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def __getattr__(self, _: str) -> Callable[..., Any]:
        return self._answer

    def _answer(self, **_: object) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _error(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject"
    )


def _store(*answers: object, sleep: Callable[[float], None] = lambda _: None) -> S3Store:
    access = S3Access(boto3.session.Session("k", "s", region_name="us-east-1"))
    access.client = _Answers(*answers)
    return S3Store("s3://bucket/pre/fix/", access, sleep)


_TIME_OUT = ReadTimeoutError(endpoint_url="http://127.0.0.1:1")
_REFUSED = _error(412, "PreconditionFailed")
_CONFLICT = _error(409, "ConditionalRequestConflict")


def test_put_if_absent_412_is_false() -> None:
    assert not _store(_REFUSED).put_if_absent("a", b"")


@pytest.mark.parametrize("unclear", [_CONFLICT, _error(503, "SlowDown"), _TIME_OUT])
def test_put_if_absent_no_clear_answer_is_tried_again(unclear: Exception) -> None:
    assert _store(unclear, unclear, {}).put_if_absent("a", b"")
    with pytest.raises(StoreUnavailable, match="s3://bucket/pre/fix/a: "):
        _store(*[unclear] * 4).put_if_absent("a", b"")


def test_server_that_answered_before_is_waited_for_a_minute() -> None:
    waits: list[float] = []
    store = _store({}, *[_TIME_OUT] * 7, {}, *[_TIME_OUT] * 8, sleep=waits.append)
    store.put("a", b"")
    store.put("a", b"")
    assert 32 < sum(waits) < 97
    with pytest.raises(StoreUnavailable, match="check AWS_ENDPOINT_URL and the network"):
        store.put("a", b"")


def test_server_that_never_answered_is_soon_given_up() -> None:
    waits: list[float] = []
    store = _store(*[_TIME_OUT] * 4, sleep=waits.append)
    with pytest.raises(StoreUnavailable):
        store.put("a", b"")
    assert sum(waits) < 3


def test_settle_answer_lost_on_the_way_finds_itself_the_winner() -> None:
    mine = record(Stage.PAINT, 1, (), "mine")
    read = {"Body": io.BytesIO(mine.to_json())}
    store = _store(_TIME_OUT, _REFUSED, read)
    assert Ledger(store, LAYOUT).settle(mine) == mine


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_error(404, "NoSuchKey"), ObjectMissing),
        (_error(507, "InsufficientStorage"), StoreFull),
        (_error(403, "AccessDenied"), StoreRefused),
        (_error(404, "NoSuchBucket"), StoreRefused),
        (NoCredentialsError(), StoreRefused),
        (ResponseParserError("a web page"), StoreRefused),
        (RecursionError(), StoreRefused),
    ],
)
def test_get_clear_errors_are_not_tried_again(error: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        _store(error).get("a")


def test_list_that_no_s3_answers_is_refused() -> None:
    with pytest.raises(StoreRefused, match="s3://bucket/pre/fix: expected an S3 server with this"):
        list(_store(_error(404, "404")).list("a"))


def test_list_follows_every_page_and_strips_the_prefix() -> None:
    first = {
        "Contents": [{"Key": "pre/fix/a", "Size": 1, "ETag": "e"}],
        "IsTruncated": True,
        "NextContinuationToken": "t",
    }
    second = {"Contents": [{"Key": "pre/fix/b", "Size": 2, "ETag": "e"}], "IsTruncated": False}
    store = _store(first, second)
    assert list(store.list("")) == [ObjectInfo("a", 1), ObjectInfo("b", 2)]


def test_root_and_uri_have_single_slashes() -> None:
    store = _store()
    assert (store.root, store.uri("a/b")) == ("s3://bucket/pre/fix", "s3://bucket/pre/fix/a/b")
    with pytest.raises(ValueError, match="root must be s3://bucket"):
        open_store("s3:///x")


def test_root_with_credentials_in_it_is_refused_without_repeating_them() -> None:
    with pytest.raises(ValueError, match="with credentials in it") as raised:
        open_store("s3://key:hidden@bucket/x")
    assert "hidden" not in str(raised.value)


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


@pytest.mark.s3
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


@pytest.mark.s3
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


def test_delete_all_that_leaves_some_is_tried_again() -> None:
    refused = {"Errors": [{"Key": "pre/fix/a", "Code": "InternalError"}]}
    _store(refused, {}).delete_all(["a"])
    with pytest.raises(StoreUnavailable, match="1 of 1 objects were not deleted, the first 'pre/f"):
        _store(*[refused] * 4).delete_all(["a"])


@pytest.mark.s3
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


@pytest.mark.s3
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


@pytest.mark.s3
def test_s3_file_that_was_replaced_is_brought_anew(s3: S3Store, brought: Path) -> None:
    s3.put("bank", b"1")
    first = local_path(s3.uri("bank"))
    s3.put("bank", b"2")
    bring.cache_clear()
    assert local_path(s3.uri("bank")).read_bytes() == b"2"
    assert first.read_bytes() == b"1"
    assert {path.name[0] for path in (brought / "cxr-factory/places").iterdir()} != {"."}


@pytest.mark.s3
def test_s3_address_of_nothing_says_so(s3: S3Store, brought: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"expected a file or folder at 's3://.*/absent'"):
        local_path(s3.uri("absent"))
    with pytest.raises(EngineUnavailable, match=r"known kind \(s3\), got 'gs://bucket/bank'"):
        local_path("gs://bucket/bank")


@pytest.mark.s3
def test_s3_twenty_attempts_agree_on_one_record(s3: S3Store) -> None:
    attempts = [record(Stage.PAINT, 3, (), f"a{number}") for number in range(20)]
    with ThreadPoolExecutor(20) as workers:
        stand = set(workers.map(lambda one: Ledger(s3, LAYOUT).settle(one), attempts))
    assert stand == {Ledger(s3, LAYOUT).record(Stage.PAINT, 3)}


@pytest.mark.s3
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


@pytest.mark.s3
def test_s3_server_passes_the_doctor(s3: S3Store) -> None:
    assert check_store(s3).num_commit_races == 3
    assert list(s3.list("")) == []


@pytest.mark.s3
def test_s3_race_of_publishers_under_kills_is_exact(s3: S3Store) -> None:
    """The race of test_exactly_once, on S3."""
    options = ["--kills", "3", "--units", "18", "--unit-size", "4", "--root", s3.root]
    command = [sys.executable, "-m", "benchmarks.exactly_once", *options]
    ran = subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["num_rows"] == 18 * 4


@pytest.mark.s3
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
