import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from storage.errors import ObjectMissing, StoreFull, StoreRefused, StoreUnavailable
from storage.ledger import Ledger
from storage.objects import ObjectInfo, open_store
from storage.records import Stage
from storage.s3 import S3Store
from storage.store_check import check_store
from tests.storage.made import LAYOUT, record
from tests.storage.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, seaweedfs

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


def _store(monkeypatch: pytest.MonkeyPatch, *answers: object) -> S3Store:
    session = boto3.session.Session("k", "s", region_name="us-east-1")
    monkeypatch.setattr(session, "client", lambda *_, **__: _Answers(*answers))
    return S3Store("s3://bucket/pre/fix/", session, sleep=lambda _: None)


_TIME_OUT = ReadTimeoutError(endpoint_url="http://127.0.0.1:1")
_REFUSED = _error(412, "PreconditionFailed")
_CONFLICT = _error(409, "ConditionalRequestConflict")


def test_put_if_absent_412_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _store(monkeypatch, _REFUSED).put_if_absent("a", b"")


@pytest.mark.parametrize("unclear", [_CONFLICT, _error(503, "SlowDown"), _TIME_OUT])
def test_put_if_absent_no_clear_answer_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, unclear: Exception
) -> None:
    assert _store(monkeypatch, unclear, unclear, {}).put_if_absent("a", b"")
    with pytest.raises(StoreUnavailable, match="s3://bucket/pre/fix/a: "):
        _store(monkeypatch, *[unclear] * 4).put_if_absent("a", b"")


def test_settle_answer_lost_on_the_way_finds_itself_the_winner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = record(Stage.PAINT, 1, (), "mine")
    read = {"Body": io.BytesIO(mine.to_json())}
    store = _store(monkeypatch, _TIME_OUT, _REFUSED, read)
    assert Ledger(store, LAYOUT).settle(mine) == mine


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_error(404, "NoSuchKey"), ObjectMissing),
        (_error(507, "InsufficientStorage"), StoreFull),
        (_error(403, "AccessDenied"), StoreRefused),
        (_error(404, "NoSuchBucket"), StoreRefused),
    ],
)
def test_get_clear_errors_are_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: ClientError, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        _store(monkeypatch, error).get("a")


def test_list_follows_every_page_and_strips_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {
        "Contents": [{"Key": "pre/fix/a", "Size": 1}],
        "IsTruncated": True,
        "NextContinuationToken": "t",
    }
    second = {"Contents": [{"Key": "pre/fix/b", "Size": 2}], "IsTruncated": False}
    store = _store(monkeypatch, first, second)
    assert list(store.list("")) == [ObjectInfo("a", 1), ObjectInfo("b", 2)]


def test_root_and_uri_have_single_slashes(monkeypatch: pytest.MonkeyPatch) -> None:
    store = _store(monkeypatch)
    assert (store.root, store.uri("a/b")) == ("s3://bucket/pre/fix", "s3://bucket/pre/fix/a/b")
    with pytest.raises(ValueError, match="root must be s3://bucket"):
        S3Store("s3:///x", boto3.session.Session("k", "s", region_name="r"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Store:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
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
def test_s3_twenty_attempts_agree_on_one_record(s3: S3Store) -> None:
    attempts = [record(Stage.PAINT, 3, (), f"a{number}") for number in range(20)]
    with ThreadPoolExecutor(20) as workers:
        stand = set(workers.map(lambda one: Ledger(s3, LAYOUT).settle(one), attempts))
    assert stand == {Ledger(s3, LAYOUT).record(Stage.PAINT, 3)}


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
