"""Files of a folder that serves as an object store: written whole, linked in, listed in order."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.errors import StoreFull, StoreUnavailable, StoreUnfit

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def local_errors(path: str) -> Iterator[None]:
    """Say a full or refusing disk in one line.

    Raises:
        StoreFull: When there is no space or quota left.
        StoreUnavailable: When the system refuses for another reason.
    """
    try:
        yield
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(
                f"{path}: expected room to write, the disk or quota is full; "
                "free space and run again, nothing that was complete is lost"
            ) from error
        raise StoreUnavailable(
            f"{path}: expected to read and write here, got {error.strerror!r}; "
            "check the disk and its permissions, then run again"
        ) from error


def write_and_place(
    temporary: Path, path: Path, data: bytes, place: Callable[[Path, Path], None]
) -> None:
    """Write, sync, and only then give it its name."""
    try:
        with temporary.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            place(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def make_folder(folder: Path) -> None:
    """Make it with its parents, unless it is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # not to be taken for an object that is there already
        raise NotADirectoryError(error.errno, "a file is where a folder should be") from error


def link(source: Path, target: Path) -> None:
    """Give the file its name unless the name is taken."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        raise StoreUnfit(
            f"{target.parent}: expected a file system with hard links, got {error.strerror!r}; "
            "use another disk or an S3 root"
        ) from error


def delete_unless_locked(path: Path) -> bool:
    """Delete a file that no living process holds; says whether."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


def walk(folder: Path, start: str) -> Iterator[Path]:
    """Files under `folder` whose first part begins with `start`, in order of key."""
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.startswith(start)]
    except (FileNotFoundError, NotADirectoryError):
        return
    # a folder sorts as "name/", the way its keys do
    for entry in sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir()):
        if entry.is_dir():
            yield from walk(Path(entry.path), "")
        else:
            yield Path(entry.path)
