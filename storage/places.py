"""Copies on this host of what lies on S3, for engines that read files: banks, tables, weights."""

import hashlib
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from storage.errors import ObjectMissing
from storage.identity import canonical_json
from storage.local_files import local_errors
from storage.objects import ObjectInfo, ObjectStore, open_store


@lru_cache(maxsize=64)  # within a process an address stays what it was
def bring(uri: str) -> Path:
    """The local copy of an object, or of all objects below a folder.

    Copies are kept in the user's cache by address and content, and shared by all processes: an
    object that was replaced is brought anew.

    Args:
        uri: `s3://bucket/key`.

    Raises:
        ObjectMissing: If there is neither.
        StoreUnavailable: If the store or the disk does not answer.
    """
    parts = urlsplit(uri)
    store, key = open_store(f"{parts.scheme}://{parts.netloc}"), parts.path.strip("/")
    found = [one for one in store.list(key) if one.key == key or one.key.startswith(f"{key}/")]
    if not found:
        raise ObjectMissing(f"no object {uri}")
    content = canonical_json([uri, [[one.key, one.num_bytes, one.etag] for one in found]])
    folder = _cache() / hashlib.sha256(content).hexdigest()[:32]
    with local_errors(str(folder)):
        if not folder.is_dir():
            _copy(store, key, found, folder)
    return folder / key.rpartition("/")[2]


def _copy(store: ObjectStore, key: str, found: list[ObjectInfo], folder: Path) -> None:
    """All of it or nothing: the folder gets its name once it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    outer = key.rpartition("/")[0]
    scratch = Path(tempfile.mkdtemp(prefix=".bringing-", dir=folder.parent))
    try:
        for info in found:
            path = scratch / info.key.removeprefix(f"{outer}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            store.get_file(info.key, path)
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():  # no other process was first
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "cxr-factory" / "places"
