"""The object-store seam: a folder on this machine or S3, with a conditional put.

The ledger stands on one guarantee: of many `put_if_absent` of one key, exactly one is told True,
and an object is never seen half-written. `storage/store_check.py` tries it on a given store.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from storage.errors import ObjectMissing, StoreUnavailable
from storage.local_files import (
    delete_unless_locked,
    link,
    local_errors,
    make_folder,
    walk,
    write_and_place,
)

TEMPORARY_PREFIX = ".put-"  # unfinished puts; no key has a part that begins so
_WRITE_TRIES = 100  # each lost try means that another process removed the folder or file under us


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One listed object.

    Attributes:
        key: Relative to the root, with forward slashes.
        num_bytes: Its size.
        etag: What S3 says of its content; empty for a folder's files.
    """

    key: str
    num_bytes: int
    etag: str = field(default="", compare=False)


class ObjectStore(Protocol):
    """What storage needs of a root. All calls may raise StoreUnavailable or StoreFull."""

    @property
    def root(self) -> str:
        """The folder, or `s3://bucket/prefix`."""
        ...

    @property
    def storage_options(self) -> dict[str, str] | None:
        """What Lance needs beside the URI; None for a local folder."""
        ...

    def uri(self, key: str) -> str:
        """Where Lance finds the key."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write the object unless one exists; False when it was already there."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write or replace the object, whole."""
        ...

    def put_file(self, key: str, path: Path) -> None:
        """Write or replace the object with a file's bytes, whole."""
        ...

    def get(self, key: str) -> bytes:
        """The object's bytes; raises ObjectMissing."""
        ...

    def get_file(self, key: str, path: Path) -> None:
        """The object's bytes into a file; raises ObjectMissing."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the object is there now."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects whose key begins with `prefix`, in order of key."""
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders right under `prefix/`, in order; what they hold is not listed."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove the objects, in few requests; those that are gone already do not matter."""
        ...


def open_store(root: str) -> ObjectStore:
    """The store of a root: `s3://bucket/prefix`, or a folder, which need not exist yet.

    Raises:
        ValueError: If the root names another kind of store.
    """
    if root.startswith("s3://"):
        from storage.s3 import S3Store

        return S3Store.from_environment(root)
    if not root or "://" in root:
        raise ValueError(f"root must be a folder or s3://bucket/prefix, got {root!r}")
    return LocalStore(root)


def storage_options_of(root: str) -> dict[str, str] | None:
    """What Lance needs now to reach a root: a function that worker processes can be handed."""
    return open_store(root).storage_options


def require_reachable(root: str) -> None:
    """Ask a root for a listing: what is wrong with it is said before work begins.

    Raises:
        ValueError: If it can be no root.
        StoreRefused: If there is no such bucket, or the credentials do not open it.
        StoreUnavailable: If the server does not answer.
    """
    next(open_store(root).list(""), None)


class LocalStore:
    """A folder. A put writes a temporary file beside the target, syncs it, then links it in.

    A killed process loses nothing it was answered. A power cut may take back the last moments, in
    order, but never leaves half an object: the folder itself is not synced, which would cost more
    than the rest of the put, and Lance does not sync its files either.

    The writer holds a lock on its temporary file, which the kernel frees when the process dies,
    so `delete_stale_temporaries` needs no clock. Should a network file system ignore the lock,
    a live temporary file that is removed makes its put try again: nothing is lost either way.
    """

    def __init__(self, root: str) -> None:
        self._folder = Path(root).expanduser().resolve()

    @property
    def root(self) -> str:
        """The folder's absolute path."""
        return str(self._folder)

    @property
    def storage_options(self) -> dict[str, str] | None:
        """Lance needs nothing more for a folder."""
        return None

    def uri(self, key: str) -> str:
        """The absolute path of the key."""
        return str(self._path(key))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Link the finished file to its name, which the file system refuses when taken."""
        if self._path(key).exists():
            return False
        try:
            self._write(key, data, link)
        except FileExistsError:
            return False
        return True

    def put(self, key: str, data: bytes) -> None:
        """Move the finished file over its name."""
        self._write(key, data, os.replace)

    def put_file(self, key: str, path: Path) -> None:
        """Copy the file over its name."""
        self.put(key, path.read_bytes())

    def get(self, key: str) -> bytes:
        """The file's bytes; raises ObjectMissing."""
        path = self._path(key)
        try:
            with local_errors(str(path)):
                return path.read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(f"no object {key!r} under {self.root}") from error

    def get_file(self, key: str, path: Path) -> None:
        """Copy the file's bytes; raises ObjectMissing."""
        path.write_bytes(self.get(key))

    def exists(self, key: str) -> bool:
        """Whether a file of this key is there now."""
        return self._path(key).is_file()

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Files whose key begins with `prefix`, in order of key; unfinished puts are no objects."""
        for path in self._files(prefix):
            if path.name.startswith(TEMPORARY_PREFIX):
                continue
            with suppress(FileNotFoundError), local_errors(str(path)):  # deleted as we list
                yield ObjectInfo(path.relative_to(self._folder).as_posix(), path.stat().st_size)

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders right under this one, in order."""
        folder = self._path(prefix)
        with local_errors(str(folder)):
            names = (
                [one.name for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []
            )
        yield from sorted(names)

    def delete(self, key: str) -> None:
        """Remove the file, and the folders this leaves empty."""
        path = self._path(key)
        with local_errors(str(path)):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # a parent that is not empty, or gone already
                for parent in path.parents:
                    if parent == self._folder:
                        break
                    parent.rmdir()

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove the files, and the folders this leaves empty."""
        for key in keys:
            self.delete(key)

    def delete_stale_temporaries(self, prefix: str) -> int:
        """Remove what puts of dead processes left behind; returns how many files."""
        stale = (path for path in self._files(prefix) if path.name.startswith(TEMPORARY_PREFIX))
        return sum(delete_unless_locked(path) for path in stale)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not key or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"key must be names joined by single slashes, got {key!r}")
        if any(part.startswith(TEMPORARY_PREFIX) for part in parts):
            raise ValueError(f"key must not have a part beginning {TEMPORARY_PREFIX!r}: {key!r}")
        return self._folder.joinpath(*parts)

    def _files(self, prefix: str) -> Iterator[Path]:
        folder, _, start = prefix.rpartition("/")
        base = self._path(folder) if folder else self._folder
        with local_errors(str(base)):
            yield from walk(base, start)

    def _write(self, key: str, data: bytes, place: Callable[[Path, Path], None]) -> None:
        path = self._path(key)
        for _ in range(_WRITE_TRIES):
            temporary = path.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
            try:
                with local_errors(str(path)):
                    make_folder(path.parent)
                    write_and_place(temporary, path, data, place)
                return
            except FileNotFoundError:  # the empty folder, or the file, was tidied away: again
                continue
        raise StoreUnavailable(f"{path}: its folder kept vanishing while it was written; run again")
