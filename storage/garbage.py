"""Removes what no record and no version names, beside live workers, without a clock.

Staged files: the ledger alone decides. Table files: list them, commit a barrier (the unchanged
fragments, by compare-and-swap), then delete what was listed and nothing names. A writer whose
files were listed had opened the table before the barrier, so its commit is refused and it begins
again with new files. Lance's own clean-up goes by age: beside live writers it deletes files that
a later commit still succeeds in naming, after which the table cannot be read.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import lance

from storage.errors import CommitRefused
from storage.layout import DatasetLayout, Table, folder_number_of
from storage.ledger import Ledger
from storage.objects import LocalStore, ObjectInfo, ObjectStore
from storage.records import Stage
from storage.selection import Selection
from storage.tables import commit, lance_errors, open_lance, published_units, table_exists

PUBLISHED_TABLES = (Table.SAMPLES, Table.REPORTS, Table.REJECTS, Table.PAIRS)
_COLLECTED_FOLDERS = ("data", "_transactions")


@dataclass(frozen=True, slots=True)
class Collected:
    """What one collection removed. `refused`: a publisher came first; nothing was removed."""

    num_files: int
    num_bytes: int
    refused: bool = False


def collect_dataset(
    store: ObjectStore, layout: DatasetLayout, ledger: Ledger, selection: Selection
) -> list[Collected]:
    """Collect a dataset's staged files and its tables' files; safe beside live workers.

    Surplus stays in staging, and so does every unit that a table still lacks. Ledger records that
    are in no digest yet are put together in one.

    Args:
        store: The root.
        layout: The dataset.
        ledger: Its ledger.
        selection: What is final, by plan and ledger.
    """
    landed = selection.rounds.numbers(landed_units(store, layout, selection))
    of_stages = [collect_staged(store, layout, ledger, stage, landed) for stage in selection.stages]
    for stage in selection.stages:
        ledger.write_digest(stage)
    of_tables = [collect_table(store, layout.table(table)) for table in Table]
    return [*of_stages, *of_tables]


def landed_units(store: ObjectStore, layout: DatasetLayout, selection: Selection) -> set[int]:
    """Final units without surplus, all of whose rows are in the tables: staging may forget them.

    A unit without a single report stays, since the tables cannot show that it was published.
    """
    with_pairs = {unit for unit, indices in selection.published.items() if indices}
    with_rejects = {unit for unit, decisions in selection.rejects.items() if decisions}
    lacking = (with_pairs - _units_in(store, layout.table(Table.PAIRS))) | (
        with_rejects - _units_in(store, layout.table(Table.REJECTS))
    )
    in_reports = _units_in(store, layout.table(Table.REPORTS))
    return (set(selection.final_units) & in_reports) - selection.surplus_units - lacking


def collect_staged(
    store: ObjectStore,
    layout: DatasetLayout,
    ledger: Ledger,
    stage: Stage,
    landed: Collection[int],
) -> Collected:
    """Delete staged files whose unit's record names another attempt, or whose unit has landed.

    Files of units without a record are left alone: their attempt may be about to win.

    Args:
        store: The root.
        layout: The dataset.
        ledger: Its ledger.
        stage: Whose staged files.
        landed: Units whose rows are all in the tables, and which hold no surplus.
    """
    listed = list(store.list(layout.staging_folder(stage)))
    files = ledger.settled(stage).files()
    done = [info for info in listed if _is_done(info, files, landed)]
    if isinstance(store, LocalStore):
        store.delete_stale_temporaries(f"{layout.folder}/")
    return _delete(store, done)


def collect_table(store: ObjectStore, key: str) -> Collected:
    """Delete files that no version, tag or branch of a table names.

    Where there are none no barrier is committed, and the table's version stays.
    """
    if not table_exists(store, key):
        return Collected(0, 0)
    dataset = open_lance(store, key, None)
    listed = list(_own_files(store, key))
    if not _unnamed(listed, _named_files(dataset), key):
        return Collected(0, 0)
    try:
        barrier = commit(store, dataset, [])
    except CommitRefused:
        return Collected(0, 0, refused=True)
    return _delete(store, _unnamed(listed, _named_files(barrier), key))


def _units_in(store: ObjectStore, key: str) -> set[int]:
    return published_units(open_lance(store, key, None)) if table_exists(store, key) else set()


def _is_done(info: ObjectInfo, files: Mapping[int, str], landed: Collection[int]) -> bool:
    """Whether nobody will ever read this staged file again."""
    unit = folder_number_of(info.key)
    file = None if unit is None else files.get(unit)
    return file is not None and (file != info.key or unit in landed)


def _delete(store: ObjectStore, files: Sequence[ObjectInfo]) -> Collected:
    store.delete_all([info.key for info in files])
    return Collected(len(files), sum(info.num_bytes for info in files))


def _own_files(store: ObjectStore, key: str) -> Iterator[ObjectInfo]:
    """Data files, their blob files, and transaction files."""
    for folder in _COLLECTED_FOLDERS:
        yield from store.list(f"{key}/{folder}/")


def _unnamed(listed: Sequence[ObjectInfo], named: Collection[str], key: str) -> list[ObjectInfo]:
    return [info for info in listed if _owner(info.key.removeprefix(f"{key}/")) not in named]


def _owner(path: str) -> str:
    """The file a version names: for `data/<stem>/<blob>` that is `data/<stem>.lance`."""
    folder, name, *blob = path.split("/")
    return f"{folder}/{name}.lance" if blob else path


def _named_files(dataset: lance.LanceDataset) -> set[str]:
    """Every file that some version of the table or of one of its branches names."""
    with lance_errors(dataset.uri):
        heads = [dataset, *(dataset.checkout_version((name, None)) for name in _branches(dataset))]
        return {
            name
            for head in heads
            for version in head.versions()
            for name in _files_of_version(head.checkout_version(version["version"]))
        }


def _branches(dataset: lance.LanceDataset) -> list[str]:
    return list(dataset.branches.list())


def _files_of_version(dataset: lance.LanceDataset) -> Iterator[str]:
    """Data files and the transaction file of one version; paths relative to the table."""
    for fragment in dataset.get_fragments():
        for file in fragment.metadata.files:
            yield f"data/{file.path}"
    transaction = dataset.read_transaction(dataset.version)
    if transaction is not None:
        yield f"_transactions/{transaction.read_version}-{transaction.uuid}.txn"
