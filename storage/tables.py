"""A published Lance table: created once, opened at a version, changed by compare-and-swap alone.

`LanceOperation.Merge` of all current fragments and the new ones, with `read_version` = v, is
refused when anything but configuration, index or tag changed since v. That use is off its label:
pylance is pinned, and the tests and `store_check` run the two-publisher race.
`Append`, `Overwrite` and `Restore` have no such guard (a late `mode="create"` even empties a
table that others filled), so nothing here uses them on a table in the store.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pyarrow.compute as pc
from lance.commit import CommitConflictError
from lance.fragment import FragmentMetadata, write_fragments

from storage.errors import CommitRefused, ObjectMissing, StoreFull, StoreUnavailable
from storage.objects import ObjectStore
from storage.table_schemas import DATA_STORAGE_VERSION

_OUT_OF_REACH = "LanceError(IO)"  # of which some come as ValueError
_RUST_PLACE = re.compile(r",? /\S+\.rs:\d+:\d+")  # where in Lance's own source
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122")


@contextmanager
def lance_errors(uri: str) -> Iterator[None]:
    """Lance's errors as ours.

    Raises:
        CommitRefused: Another commit came first.
        StoreFull: No room left.
        StoreUnavailable: Anything else: the commit may or may not have landed.
    """
    try:
        yield
    except CommitConflictError as error:
        raise CommitRefused(f"{uri}: the table changed since it was read") from error
    except (OSError, RuntimeError, ValueError) as error:
        text = _RUST_PLACE.sub("", str(error))
        if isinstance(error, ValueError) and _OUT_OF_REACH not in text:
            raise
        if "commit conflict" in text.lower():
            raise CommitRefused(f"{uri}: the table changed since it was read") from error
        if any(words in text for words in _FULL_WORDS):
            raise StoreFull(
                f"{uri}: expected room to write, the disk or quota is full; "
                "free space and run again, nothing that was published is lost"
            ) from error
        raise StoreUnavailable(f"{uri}: no clear answer from the table: {text[:300]}") from error


class PublishedTable:
    """One Lance table of the factory, by its key. Rows have a `unit`; they are never deleted."""

    def __init__(self, store: ObjectStore, key: str, schema: pa.Schema) -> None:
        self._store = store
        self.key = key
        self.schema = schema

    @property
    def uri(self) -> str:
        """Where Lance finds it."""
        return self._store.uri(self.key)

    def exists(self) -> bool:
        """Whether the table was created."""
        return table_exists(self._store, self.key)

    def create_if_absent(self) -> None:
        """Make the empty table; of several creators one wins and the others find it.

        The empty table is made in a scratch folder and its only manifest is put if absent:
        Lance's own `create` tries again as an overwrite when it comes late, and would empty it.
        """
        if self.exists():
            return
        with tempfile.TemporaryDirectory(prefix="cxr-factory-") as scratch:
            empty = lance.write_dataset(
                self.schema.empty_table(),
                str(Path(scratch) / "empty.lance"),
                schema=self.schema,
                mode="create",
                data_storage_version=DATA_STORAGE_VERSION,
                enable_stable_row_ids=True,
            )
            assert empty.version == 1, empty.version
            (manifest,) = Path(scratch).glob("empty.lance/_versions/*.manifest")
            self._store.put_if_absent(
                f"{self.key}/_versions/{manifest.name}", manifest.read_bytes()
            )

    def open(self, version: int | None = None) -> lance.LanceDataset:
        """The table at a version; None is the latest, for publishing and upkeep only.

        Raises:
            ObjectMissing: If there is no such table or version.
        """
        return open_lance(self._store, self.key, version)

    def write_fragments(
        self, dataset: lance.LanceDataset, rows: pa.Table
    ) -> list[FragmentMetadata]:
        """Write rows as fragments nobody sees before `commit`; good for one try at it."""
        with lance_errors(self.uri):
            written: list[FragmentMetadata] = write_fragments(
                rows, dataset, storage_options=self._store.storage_options
            )
            return written

    def commit(
        self, dataset: lance.LanceDataset, fragments: Sequence[FragmentMetadata]
    ) -> lance.LanceDataset:
        """Add the fragments if nothing changed since `dataset` was opened; see `commit`."""
        return commit(self._store, dataset, fragments)


def commit(
    store: ObjectStore, dataset: lance.LanceDataset, fragments: Sequence[FragmentMetadata]
) -> lance.LanceDataset:
    """Add fragments to a table if nothing changed since it was opened; returns the new version.

    Args:
        store: The root the table is under.
        dataset: The table as it was read before the fragments were written.
        fragments: New ones; none at all makes a barrier, which refuses all older writers.

    Raises:
        CommitRefused: If something changed: reopen, and write new fragments.
        StoreUnavailable: If it is unclear whether the commit landed: the same.
    """
    current = [fragment.metadata for fragment in dataset.get_fragments()]
    operation = lance.LanceOperation.Merge([*current, *fragments], dataset.lance_schema)
    with lance_errors(dataset.uri):
        return lance.LanceDataset.commit(
            dataset,
            operation,
            read_version=dataset.version,
            storage_options=store.storage_options,
            max_retries=0,
        )


def table_exists(store: ObjectStore, key: str) -> bool:
    """Whether a table of this key was created."""
    return next(store.list(f"{key}/_versions/"), None) is not None


def open_lance(
    store: ObjectStore, key: str, version: int | None, session: Any = None
) -> lance.LanceDataset:
    """Any Lance table under the root, at a version (None: the latest).

    Args:
        store: The root.
        key: Of the table.
        version: As a release names it.
        session: A `lance.Session`, which bounds the caches of all tables opened with it; None
            leaves each to Lance's own bounds of 7 GB.

    Raises:
        ObjectMissing: If there is no such table or version.
    """
    uri = store.uri(key)
    try:
        with lance_errors(uri):
            return lance.dataset(
                uri, version=version, storage_options=store.storage_options, session=session
            )
    except ValueError as error:
        if "not found" not in str(error).lower():
            raise
        which = "table" if version is None else f"version {version} of the table"
        raise ObjectMissing(f"no {which} {key!r} under {store.root}") from error


def published_units(dataset: lance.LanceDataset) -> set[int]:
    """The distinct units of this version: the truth about what is published in it."""
    with lance_errors(dataset.uri):
        units = dataset.scanner(columns=["unit"]).to_table()["unit"]
    return set(pc.unique(units).to_pylist())
