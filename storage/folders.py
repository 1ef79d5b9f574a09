"""A local folder behind a key: the key itself under a local root, a copy of it beside S3."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.objects import LocalStore, ObjectStore


@contextmanager
def working_folder(store: ObjectStore, key: str) -> Iterator[Path]:
    """A local folder for software that writes files, kept under `key` when the block ends.

    Beside S3 what lies there is brought in first, and every file is put back, also after an
    error, so that an interrupted training is resumed on another host.
    """
    if isinstance(store, LocalStore):
        folder = Path(store.uri(key))
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="cxr-factory-") as scratch:
        folder = Path(scratch)
        for info in store.list(f"{key}/"):
            path = folder / info.key.removeprefix(f"{key}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.get(info.key))
        try:
            yield folder
        finally:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    store.put(f"{key}/{path.relative_to(folder).as_posix()}", path.read_bytes())
