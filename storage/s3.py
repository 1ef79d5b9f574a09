"""S3 behind the object-store seam: conditional puts with `IfNoneMatch="*"`."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from storage.errors import ObjectMissing, StoreFull, StoreRefused, StoreUnavailable
from storage.objects import ObjectInfo

Answer = TypeVar("Answer")
_RETRY_DELAYS_SECONDS = (0.1, 0.3, 1.0)
_MISSING = ("404", "NoSuchKey", "NotFound")
_REFUSED = ("412", "PreconditionFailed")
_FULL = ("507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull")
_AGAIN = (408, 409, 429)  # and every 5xx: no clear answer


class S3Store:
    """A bucket and prefix.

    Args:
        root: `s3://bucket` or `s3://bucket/prefix`.
        session: Where credentials and region come from: boto3's usual chain by default.
        endpoint: Address of another S3 server than AWS.
        sleep: Waits between tries, seconds.

    Raises:
        ValueError: If the root names no bucket.
    """

    def __init__(
        self,
        root: str,
        session: boto3.session.Session,
        endpoint: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(root)
        if parts.scheme != "s3" or not parts.netloc:
            raise ValueError(f"root must be s3://bucket or s3://bucket/prefix, got {root!r}")
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/")
        self._session = session
        self._endpoint = endpoint
        self._sleep = sleep
        self._client = session.client("s3", endpoint_url=endpoint, config=_config(endpoint))

    @classmethod
    def from_environment(cls, root: str) -> "S3Store":
        """A store at AWS_ENDPOINT_URL (or AWS itself) with the usual credentials."""
        return cls(root, boto3.session.Session(), os.environ.get("AWS_ENDPOINT_URL"))

    @property
    def root(self) -> str:
        """`s3://bucket/prefix`, without a trailing slash."""
        return "/".join(filter(None, (f"s3://{self._bucket}", self._prefix)))

    @property
    def storage_options(self) -> dict[str, str] | None:
        """Lance's view of the same endpoint, region and credentials, as they are now."""
        options = {"aws_region": self._session.region_name or "us-east-1"}
        credentials = self._session.get_credentials()
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            options["aws_access_key_id"] = frozen.access_key
            options["aws_secret_access_key"] = frozen.secret_key
            if frozen.token:
                options["aws_session_token"] = frozen.token
        if self._endpoint:
            options["aws_endpoint"] = self._endpoint
            options["allow_http"] = "true" if self._endpoint.startswith("http://") else "false"
        return options

    def uri(self, key: str) -> str:
        """`s3://bucket/prefix/key`."""
        return f"{self.root}/{key}"

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Put with `IfNoneMatch="*"`; 412 is False, which a lost answer of mine can cause too."""

        def put() -> bool:
            try:
                self._client.put_object(**self._at(key), Body=data, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) in _REFUSED:
                    return False
                raise
            return True

        return self._ask(key, put)

    def put(self, key: str, data: bytes) -> None:
        """Write or replace the object."""
        self._ask(key, lambda: self._client.put_object(**self._at(key), Body=data))

    def get(self, key: str) -> bytes:
        """The object's bytes; raises ObjectMissing."""
        return self._ask(
            key, lambda: bytes(self._client.get_object(**self._at(key))["Body"].read())
        )

    def exists(self, key: str) -> bool:
        """Whether the object is there now."""
        try:
            self._ask(key, lambda: self._client.head_object(**self._at(key)))
        except ObjectMissing:
            return False
        return True

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose key begins with `prefix`, in order of key, a thousand per request."""
        token: dict[str, str] = {}
        while True:
            page = self._ask(prefix, partial(self._page, prefix, token))
            for found in page.get("Contents", ()):
                yield ObjectInfo(self._key(found["Key"]), int(found["Size"]))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        self._ask(key, lambda: self._client.delete_object(**self._at(key)))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._full(key)}

    def _full(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _key(self, full: str) -> str:
        return full.removeprefix(f"{self._prefix}/") if self._prefix else full

    def _page(self, prefix: str, token: dict[str, str]) -> dict[str, Any]:
        page: dict[str, Any] = self._client.list_objects_v2(
            Bucket=self._bucket, Prefix=self._full(prefix), **token
        )
        return page

    def _ask(self, key: str, request: Callable[[], Answer]) -> Answer:
        """The answer, after further tries while none is clear."""
        for delay in _RETRY_DELAYS_SECONDS:
            try:
                return self._once(key, request)
            except StoreUnavailable:
                self._sleep(delay)
        return self._once(key, request)

    def _once(self, key: str, request: Callable[[], Answer]) -> Answer:
        try:
            return request()
        except ClientError as error:
            raise self._clear(key, error) from error
        except BotoCoreError as error:
            raise StoreUnavailable(
                f"{self.uri(key)}: no clear answer from S3 ({error}); "
                "check AWS_ENDPOINT_URL, the credentials and the network, then run again"
            ) from error

    def _clear(self, key: str, error: ClientError) -> Exception:
        """What an error answer means to callers."""
        uri, code = self.uri(key), _code(error)
        if code in _MISSING:
            return ObjectMissing(f"no object {key!r} under {self.root}")
        if code in _FULL:
            return StoreFull(f"{uri}: the store is full ({code}); free space and run again")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status in _AGAIN or status >= 500:
            return StoreUnavailable(f"{uri}: S3 answered {status} {code}; run again later")
        return StoreRefused(
            f"{uri}: S3 answered {status} {code}; check the bucket's name, "
            "the credentials and what they allow"
        )


def _config(endpoint: str | None) -> Config:
    """One try per request, since only the caller knows which answers are clear."""
    return Config(
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=32,
        s3={"addressing_style": "path" if endpoint else "auto"},
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
