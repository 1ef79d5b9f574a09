"""What S3's answers, and their absence, mean: told by a client that gives the ones it was told."""

import io
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from storage.errors import ObjectMissing, StoreFull, StoreRefused, StoreUnavailable
from storage.ledger import Ledger
from storage.objects import ObjectInfo, open_store
from storage.records import Stage
from storage.s3 import S3Store
from storage.s3_access import S3Access
from tests.storage.made import LAYOUT, record


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


def test_delete_all_that_leaves_some_is_tried_again() -> None:
    refused = {"Errors": [{"Key": "pre/fix/a", "Code": "InternalError"}]}
    _store(refused, {}).delete_all(["a"])
    with pytest.raises(StoreUnavailable, match="1 of 1 objects were not deleted, the first 'pre/f"):
        _store(*[refused] * 4).delete_all(["a"])
