"""Local files behind keys: the keys themselves under a local root, copies of them beside S3."""

import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from storage.errors import FactoryError
from storage.objects import LocalStore, ObjectStore

KEEP_EVERY_SECONDS = 10.0
_UNFINISHED = ".partial"  # in the names of files and folders that are renamed once whole
_LOG_SUFFIX = ".jsonl"

logger = logging.getLogger(__name__)


@contextmanager
def local_file(store: ObjectStore, key: str) -> Iterator[Path]:
    """A file of the root to read while the block lasts.

    Raises:
        ObjectMissing: If there is none.
    """
    if isinstance(store, LocalStore):
        yield Path(store.uri(key))
        return
    with tempfile.TemporaryDirectory(prefix="cxr-factory-") as scratch:
        path = Path(scratch) / Path(key).name
        store.get_file(key, path)
        yield path


@contextmanager
def working_folder(store: ObjectStore, key: str) -> Iterator[Path]:
    """A local folder for software that writes files, kept under `key`.

    Beside S3 what lies there is brought in first, and what changes is put back every few seconds
    and at the end, also after an error: what is killed goes on from there, on any host. Software
    writes a file beside its name, with `.partial` in it, and renames it once it is whole.

    Raises:
        StoreUnavailable: If at the end the store takes no more; what was put before stays.
    """
    if isinstance(store, LocalStore):
        folder = Path(store.uri(key))
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="cxr-factory-") as scratch:
        kept = _KeptFolder(store, key, Path(scratch))
        kept.bring_in()
        try:
            with _now_and_then(kept):
                yield kept.folder
        finally:
            kept.put_changes()
        kept.delete_vanished()


class _State(NamedTuple):
    """What differs once a file was written again."""

    inode: int
    num_bytes: int
    modified_ns: int


class _KeptFolder:
    """A folder whose files are put under a key whenever they change."""

    def __init__(self, store: ObjectStore, key: str, scratch: Path) -> None:
        self.folder = scratch / "files"
        self._pins = scratch / "pins"
        self._store = store
        self._key = key
        self._kept: dict[str, _State] = {}

    def bring_in(self) -> None:
        self.folder.mkdir()
        self._pins.mkdir()
        for info in self._store.list(f"{self._key}/"):
            name = info.key.removeprefix(f"{self._key}/")
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._store.get_file(info.key, path)
            self._kept[name] = _state(path)

    def put_changes(self) -> None:
        """Put what changed: a log is read after a checkpoint and put before it.

        Whoever goes on from a checkpoint drops the later lines of its log, and cannot add lines.
        """
        changed = {name: state for name, state in self._found() if self._kept.get(name) != state}
        logs = [name for name in changed if name.endswith(_LOG_SUFFIX)]
        pinned = [(name, self._pin(name)) for name in changed if name not in logs]
        for name in logs:
            self._store.put(f"{self._key}/{name}", (self.folder / name).read_bytes())
        for name, pin in pinned:
            if pin is not None:
                self._store.put_file(f"{self._key}/{name}", pin)
                pin.unlink()
        self._kept |= changed

    def delete_vanished(self) -> None:
        present = {name for name, _ in self._found()}
        for name in self._kept.keys() - present:
            self._store.delete(f"{self._key}/{name}")

    def _found(self) -> Iterator[tuple[str, _State]]:
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            with suppress(FileNotFoundError):  # renamed or deleted as we look
                if _UNFINISHED not in name and path.is_file():
                    yield name, _state(path)

    def _pin(self, name: str) -> Path | None:
        """Another name of the file as it is, which outlives its replacement; None: gone already."""
        pin = self._pins / name.replace("/", "%")
        pin.unlink(missing_ok=True)
        try:
            os.link(self.folder / name, pin)
        except FileNotFoundError:
            return None
        return pin


@contextmanager
def _now_and_then(kept: _KeptFolder) -> Iterator[None]:
    """Put changes every few seconds while the block runs; a store that is away delays nothing."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(KEEP_EVERY_SECONDS):
            try:
                kept.put_changes()
            except (FactoryError, OSError) as error:
                logger.warning("not put back yet, tried again soon: %s", error)

    thread = threading.Thread(target=loop, name="keep-folder", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _state(path: Path) -> _State:
    found = path.stat()
    return _State(found.st_ino, found.st_size, found.st_mtime_ns)
