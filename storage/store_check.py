"""Does a root offer what the ledger and the publisher stand on? `cxr-factory doctor --root` asks.

Two races in a scratch folder: many conditional puts of one object, and two publishers that
commit to one table from the same version. Each must have exactly one winner. An answer that is
lost on its way tells a winner that he lost: then the object or the table says who won.
"""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Barrier

import pyarrow as pa
from lance.fragment import FragmentMetadata

from storage.errors import CommitRefused, FactoryError, StoreUnavailable, StoreUnfit
from storage.objects import ObjectStore
from storage.tables import PublishedTable, published_units

NUM_WRITERS = 20
NUM_ROUNDS = 3
_FOLDER = "doctor"
_SCHEMA = pa.schema([pa.field("unit", pa.int64(), nullable=False)])


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What was raced, all of it with exactly one winner."""

    root: str
    num_conditional_puts: int
    num_commit_races: int


def check_store(store: ObjectStore) -> StoreReport:
    """Race puts and commits on this store, in a scratch folder that is removed again.

    Raises:
        StoreUnfit: If a race had no winner or several, or an object read back differs.
        StoreUnavailable: If the store gave no clear answer.
    """
    with _scratch(store) as folder:
        for number in range(NUM_ROUNDS):
            _race_puts(store, f"{folder}/put-{number}")
        _race_commits(store, f"{folder}/race.lance")
    return StoreReport(store.root, NUM_WRITERS * NUM_ROUNDS, NUM_ROUNDS)


@contextmanager
def _scratch(store: ObjectStore) -> Iterator[str]:
    folder = f"{_FOLDER}/{uuid.uuid4().hex}"
    try:
        yield folder
    finally:
        store.delete_all([info.key for info in store.list(f"{folder}/")])


def _race_puts(store: ObjectStore, key: str) -> None:
    together = Barrier(NUM_WRITERS)

    def put(writer: int) -> bool:
        together.wait()
        return store.put_if_absent(key, str(writer).encode())

    with ThreadPoolExecutor(NUM_WRITERS) as writers:
        won = list(writers.map(put, range(NUM_WRITERS)))
    winners = [writer for writer, is_mine in enumerate(won) if is_mine]
    if len(winners) > 1:
        raise StoreUnfit(
            f"{store.root}: expected 1 winner of {NUM_WRITERS} conditional puts, got "
            f"{len(winners)}; the store ignores put-if-absent, use another"
        )
    stands = store.get(key)
    if winners and stands != str(winners[0]).encode():
        raise StoreUnfit(f"{store.root}: an object read back is not the one whose put succeeded")


def _race_commits(store: ObjectStore, key: str) -> None:
    table = PublishedTable(store, key, _SCHEMA)
    table.create_if_absent()
    for number in range(NUM_ROUNDS):
        _race_commit(table, unit=2 * number)
        rows = table.open().scanner(columns=["unit"]).to_table()["unit"].to_pylist()
        if len(rows) != number + 1:
            raise StoreUnfit(
                f"{store.root}: expected {number + 1} rows after as many commits, got {len(rows)}; "
                "commits to Lance tables are not atomic here, use another store"
            )


def _race_commit(table: PublishedTable, unit: int) -> None:
    """Two publishers, two units, one version: one unit lands."""
    together = Barrier(2)
    units = (unit, unit + 1)
    dataset = table.open()
    written = [
        table.write_fragments(dataset, pa.table({"unit": [mine]}, schema=_SCHEMA)) for mine in units
    ]

    def commit(fragments: list[FragmentMetadata]) -> FactoryError | None:
        together.wait()  # nothing before it can fail and leave the other waiting
        try:
            table.commit(dataset, fragments)
        except (CommitRefused, StoreUnavailable) as error:
            return error
        return None

    with ThreadPoolExecutor(2) as publishers:
        lost = list(publishers.map(commit, written))
    num_won = lost.count(None)
    num_landed = len({*units} & published_units(table.open()))
    if num_landed == 0 and (unclear := [e for e in lost if isinstance(e, StoreUnavailable)]):
        raise unclear[0]
    if num_won > 1 or num_landed != 1:
        raise StoreUnfit(
            f"{table.uri}: expected 1 winner of 2 commits from one version, got {num_won}, and "
            f"{num_landed} of their units in the table; commits to Lance tables are not atomic "
            "here, use another store"
        )
