"""The releases under a root, opened for reading: a few at once, each table read once.

Only releases are opened, never the latest version; nothing is written, tags included.
"""

from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock

import lance

from browser.open_tables import OpenTable, TableKey, key_of
from browser.problems import Problem, not_found
from browser.settings import Settings
from storage.corpora import corpus_info
from storage.errors import ObjectMissing
from storage.layout import DatasetLayout, Table
from storage.objects import open_store
from storage.releases import Release, open_release, release_numbers
from storage.tables import open_lance

SHOWN = (Table.PAIRS, Table.REJECTS)
_MAX_INDEX_BYTES = 512 << 20  # of all tables held
_INDEX_CACHE_BYTES = 192 << 20  # Lance's caches of one session; by default 6 GB and 1 GB
_METADATA_CACHE_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class _Figure:
    release: str
    fingerprint: str
    name: str


class Library:
    """What a root holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = open_store(settings.root)
        self._session = lance.Session(  # type: ignore[attr-defined]  # its stubs lack it
            index_cache_size_bytes=_INDEX_CACHE_BYTES,
            metadata_cache_size_bytes=_METADATA_CACHE_BYTES,
        )
        self._tables: OrderedDict[TableKey, OpenTable] = OrderedDict()
        self._figures: dict[_Figure, int] = {}
        self._lock = Lock()

    def dataset_names(self) -> list[str]:
        """Every dataset under the root, released or being made."""
        return [name for name in self.store.folders("datasets") if _is_name(name)]

    def layout(self, name: str) -> DatasetLayout:
        """The keys of a dataset that exists.

        Raises:
            Problem: If there is none of this name.
        """
        if _is_name(name):
            layout = DatasetLayout(name)
            if self.store.exists(layout.plan_lock) or release_numbers(self.store, layout):
                return layout
        raise not_found(
            f"There is no dataset {name[:100]!r} under this root.",
            "See the datasets, or make one with cxr-factory generate.",
        )

    def numbers(self, name: str) -> list[int]:
        """Numbers of a dataset's releases, ascending; none while it is being made."""
        return release_numbers(self.store, self.layout(name))

    def release(self, name: str, number: int) -> Release:
        """A release that may be shown.

        Raises:
            Problem: If there is none, or if it is restricted and this serves beyond loopback.
        """
        release = self._release(name, number)
        self.require(name, restricted=release.restricted)
        return release

    def newest(self, name: str) -> Release:
        """The newest release of a dataset, if it may be shown.

        Raises:
            Problem: If it has none yet, or is restricted and this serves beyond loopback.
        """
        numbers = self.numbers(name)
        if not numbers:
            raise not_found(f"Dataset {name!r} has no release yet.", "Wait for its first one.")
        return self.release(name, numbers[-1])

    def require(self, name: str, *, restricted: bool) -> None:
        """Refuse to send out what is restricted beyond loopback.

        Raises:
            Problem: If it is; says how its operator may allow it.
        """
        if not self.settings.may_show(name, restricted=restricted):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"{name!r} derives from restricted data, which is not shown beyond this machine.",
                f"Its operator may start with --show-restricted {name}.",
            )

    def _release(self, name: str, number: int) -> Release:
        try:
            if _is_name(name):
                return open_release(self.store, DatasetLayout(name), number)
        except ObjectMissing as error:
            numbers = self.numbers(name)
            has = f"It has {', '.join(map(str, numbers))}." if numbers else "It is being made."
            raise not_found(f"Dataset {name!r} has no release {number}.", has) from error
        self.layout(name)
        raise AssertionError(name)  # what is no name is no dataset

    def require_corpus(self, name: str) -> None:
        """Refuse to send out what is in a restricted corpus beyond loopback.

        Raises:
            Problem: If it is one; says how its operator may allow it.
        """
        info = corpus_info(self.store, name)
        self.require(name, restricted=info is None or info.restricted)

    def open(self, name: str, number: int, table: Table) -> OpenTable:
        """A table of a release that may be shown.

        Raises:
            Problem: As `release`; or if the table's version was cleaned away.
        """
        release = self.release(name, number)
        if table not in SHOWN or table not in release.versions:
            raise not_found(
                f"Release {number} of {name!r} shows no {table}.", "See its pairs or rejects."
            )
        key = key_of(release, table)
        with self._lock:
            if key not in self._tables:
                self._tables[key] = OpenTable(release, table, self._lance(release, table))
            self._tables.move_to_end(key)
            self._evict()
            return self._tables[key]

    def num_rows(self, release: Release) -> dict[str, int]:
        """Rows of each of its tables."""
        return {table: self._num_rows(release, Table(table)) for table in release.versions}

    def num_bytes(self, release: Release) -> int:
        """Size of the dataset's tables as they were when this release was first asked about."""
        key = _Figure(release.release_id, release.fingerprint, "bytes")
        if key not in self._figures:
            layout = DatasetLayout(release.dataset)
            folders = [f"{layout.table(Table(table))}/" for table in release.versions]
            listed = (info for folder in folders for info in self.store.list(folder))
            self._figures[key] = sum(info.num_bytes for info in listed)
        return self._figures[key]

    def _num_rows(self, release: Release, table: Table) -> int:
        key = _Figure(release.release_id, release.fingerprint, table)
        if key not in self._figures:
            self._figures[key] = int(self._lance(release, table).count_rows())
        return self._figures[key]

    def _lance(self, release: Release, table: Table) -> lance.LanceDataset:
        layout, version = DatasetLayout(release.dataset), release.versions[table]
        try:
            return open_lance(self.store, layout.table(table), version, self._session)
        except ObjectMissing as error:
            raise Problem(
                HTTPStatus.GONE,
                f"Version {version} of {table}, which release {release.number} names, "
                "was cleaned away.",
                "Choose a newer release.",
            ) from error

    def _evict(self) -> None:
        """Let go of the tables not looked at for longest while too much is held."""
        while (
            len(self._tables) > 1
            and sum(table.num_bytes for table in self._tables.values()) > _MAX_INDEX_BYTES
        ):
            self._tables.popitem(last=False)


def _is_name(name: str) -> bool:
    try:
        DatasetLayout(name)
    except ValueError:
        return False
    return True
