"""One run of a dataset or study at a time on one host.

The lock is advisory and the kernel frees it when its process dies, by SIGKILL too, so there is
nothing to clean up. It only spares double work: runs on several hosts, or without the lock, stay
correct, because a unit is settled once by the ledger and published once by compare-and-swap.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import DatasetBusy
from storage.layout import PlannedLayout
from storage.local_files import local_errors
from storage.objects import LocalStore, ObjectStore


@contextmanager
def exclusive_run(store: ObjectStore, layout: PlannedLayout) -> Iterator[None]:
    """Hold a dataset or study for this run on this host.

    Raises:
        DatasetBusy: If another process holds it; names its process id.
    """
    path = _lock_file(store, layout)
    with local_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise DatasetBusy(
                f"{layout.what} {layout.name!r} under {store.root} is in use by process {holder} "
                "on this host; wait for it or stop it, then run again"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock_file(store: ObjectStore, layout: PlannedLayout) -> Path:
    """Beside what is made in a local root; for S3, a file of this host and user."""
    if isinstance(store, LocalStore):
        return Path(store.uri(layout.run_lock))
    digest = hashlib.sha256(store.uri(layout.folder).encode()).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"cxr-factory-{os.getuid()}" / f"{digest}.lock"
