"""S3 behind the object-store seam: conditional puts with `IfNoneMatch="*"`."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from storage.errors import ObjectMissing, StoreRefused, StoreUnavailable
from storage.objects import ObjectInfo
from storage.s3_access import S3Access
from storage.s3_errors import REFUSED_CONDITION, error_code, s3_errors
from storage.s3_files import PART_BYTES, get_parts, put_parts

Answer = TypeVar("Answer")
# A server that never answered is likely misnamed: say so soon. One that did is away: a restart or
# a network's hiccup of a minute costs no work.
_FIRST_DELAYS_SECONDS = (0.1, 0.3, 1.0)
_PATIENT_DELAYS_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 30.0)
_KEYS_PER_DELETE = 1000


class S3Store:
    """A bucket and prefix.

    Args:
        root: `s3://bucket` or `s3://bucket/prefix`.
        access: Endpoint, region and credentials.
        sleep: Waits between tries, seconds.

    Raises:
        ValueError: If the root names no bucket.
    """

    def __init__(
        self, root: str, access: S3Access, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._bucket, self._prefix = _bucket_and_prefix(root)
        self._access = access
        self._client = access.client
        self._sleep = sleep

    @classmethod
    def from_environment(cls, root: str) -> "S3Store":
        """A store at AWS_ENDPOINT_URL (or AWS itself) with the usual credentials."""
        _bucket_and_prefix(root)  # a root that is none is said first
        return cls(root, S3Access.from_environment())

    @property
    def root(self) -> str:
        """`s3://bucket/prefix`, without a trailing slash."""
        return "/".join(filter(None, (f"s3://{self._bucket}", self._prefix)))

    @property
    def storage_options(self) -> dict[str, str] | None:
        """Lance's view of the same endpoint, region and credentials, as they are now."""
        return self._access.lance_options()

    @property
    def reached_by(self) -> str:
        """Address, and where the credentials come from: for people."""
        return f"{self._access.address}, credentials from {self._access.source or 'nowhere'}"

    def uri(self, key: str) -> str:
        """`s3://bucket/prefix/key`."""
        return f"{self.root}/{key}"

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Put with `IfNoneMatch="*"`; 412 is False, which a lost answer of mine can cause too."""

        def put() -> bool:
            try:
                self._client.put_object(**self._at(key), Body=data, IfNoneMatch="*")
            except ClientError as error:
                if error_code(error) in REFUSED_CONDITION:
                    return False
                raise
            return True

        return self._ask(key, put)

    def put(self, key: str, data: bytes) -> None:
        """Write or replace the object."""
        self._ask(key, lambda: self._client.put_object(**self._at(key), Body=data))

    def put_file(self, key: str, path: Path) -> None:
        """Write or replace the object with a file's bytes."""
        if path.stat().st_size <= PART_BYTES:
            self.put(key, path.read_bytes())
        else:
            put_parts(self._client, partial(self._ask, key), self._at(key), path)

    def get(self, key: str) -> bytes:
        """The object's bytes; raises ObjectMissing."""
        return self._ask(
            key, lambda: bytes(self._client.get_object(**self._at(key))["Body"].read())
        )

    def get_file(self, key: str, path: Path) -> None:
        """The object's bytes into a file; raises ObjectMissing."""
        get_parts(self._client, partial(self._ask, key), self._at(key), path)

    def exists(self, key: str) -> bool:
        """Whether the object is there now."""
        try:
            self._ask(key, lambda: self._client.head_object(**self._at(key)))
        except ObjectMissing:
            return False
        return True

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose key begins with `prefix`, in order of key, a thousand per request."""
        for page in self._pages(prefix, {}):
            for found in page.get("Contents", ()):
                yield ObjectInfo(self._key(found["Key"]), int(found["Size"]), found["ETag"])

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the common prefixes right under `prefix/`, in order."""
        for page in self._pages(f"{prefix}/", {"Delimiter": "/"}):
            for found in page.get("CommonPrefixes", ()):
                yield self._key(found["Prefix"]).removeprefix(f"{prefix}/").rstrip("/")

    def _pages(self, prefix: str, options: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            try:
                page = self._ask(prefix, partial(self._page, prefix, {**options, **token}))
            except ObjectMissing as error:  # S3 itself would have named the bucket
                raise StoreRefused(
                    f"{self.root}: expected an S3 server with this bucket, got 404; "
                    "check AWS_ENDPOINT_URL and the bucket's name"
                ) from error
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        self._ask(key, lambda: self._client.delete_object(**self._at(key)))

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove the objects, a thousand per request; those that are gone do not matter."""
        for start in range(0, len(keys), _KEYS_PER_DELETE):
            some = keys[start : start + _KEYS_PER_DELETE]
            self._ask(some[0], partial(self._delete_some, some))

    def _delete_some(self, keys: Sequence[str]) -> None:
        named = {"Objects": [{"Key": self._full(key)} for key in keys], "Quiet": True}
        answer = self._client.delete_objects(Bucket=self._bucket, Delete=named)
        if failed := answer.get("Errors"):
            raise StoreUnavailable(
                f"{self.root}: {len(failed)} of {len(keys)} objects were not deleted, the first "
                f"{failed[0].get('Key')!r}: {failed[0].get('Code')}; run again later"
            )

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._full(key)}

    def _full(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _key(self, full: str) -> str:
        return full.removeprefix(f"{self._prefix}/") if self._prefix else full

    def _page(self, prefix: str, options: Mapping[str, str]) -> dict[str, Any]:
        page: dict[str, Any] = self._client.list_objects_v2(
            Bucket=self._bucket, Prefix=self._full(prefix), **options
        )
        return page

    def _ask(self, key: str, request: Callable[[], Answer]) -> Answer:
        """The answer, after further tries while none is clear."""
        known = self._access.has_answered
        for delay in _PATIENT_DELAYS_SECONDS if known else _FIRST_DELAYS_SECONDS:
            try:
                return self._once(key, request)
            except StoreUnavailable:
                self._sleep(delay * random.uniform(0.5, 1.5))  # workers do not return in step
        return self._once(key, request)

    def _once(self, key: str, request: Callable[[], Answer]) -> Answer:
        with s3_errors(self.uri(key)):
            answer = request()
        self._access.has_answered = True
        return answer


def _bucket_and_prefix(root: str) -> tuple[str, str]:
    parts = urlsplit(root)
    if "@" in parts.netloc:  # not repeated: a root is shown in logs and in Prefect's UI
        raise ValueError(
            "root must be s3://bucket or s3://bucket/prefix, got one with credentials in it; "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"root must be s3://bucket or s3://bucket/prefix, got {root!r}")
    return parts.netloc, parts.path.strip("/")
