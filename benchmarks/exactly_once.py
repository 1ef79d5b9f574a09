"""Publishers race under SIGKILL beside a garbage collector: is every row there exactly once?

Every unit is staged by two attempts that both try to settle it. Publishers and a collector work
on one table while processes are killed at random and started again. One JSON line at the end;
exit status 1 if a row was lost or doubled, an image cannot be read, or a file is left over.

    python -m benchmarks.exactly_once --kills 100
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
from PIL import Image

from storage.errors import StoreUnavailable
from storage.garbage import collect_staged, collect_table
from storage.layout import DatasetLayout, Table
from storage.ledger import Ledger, LedgerRecord, SampleOutcome
from storage.objects import ObjectStore, open_store
from storage.publisher import GroupLimits, publish
from storage.records import (
    Entity,
    EntityKind,
    EntityStatus,
    ImageRow,
    Outcome,
    Provenance,
    Report,
    ReportRow,
    Sample,
    Split,
    Stage,
    View,
)
from storage.rows import pair_row, to_table
from storage.staging import read_staged, write_staged
from storage.table_schemas import Lineage, table_schema
from storage.tables import PublishedTable, open_lance, published_units, table_exists

LAYOUT = DatasetLayout("exactly-once")
LINEAGE = Lineage(LAYOUT.name, "0" * 64, restricted=False)
LIMITS = GroupLimits(num_rows=24)  # many commits, so that kills and races find them
PNG_SIDES_PX = (48, 300)  # below and above what Lance keeps inside the data file
SETTLE_DEADLINE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Result:
    """What was found at the end.

    Attributes:
        num_left_by_kills: Files that the last collection, after the last kill, removed.
        num_lost: Planned rows that are not in the table. Must be 0, as all that follow.
        num_doubled: Rows that are there a second time.
        num_unreadable: Images that are not, byte for byte, those whose hash is recorded.
        num_orphans: Data files that no version names.
        num_staged_left: Staged files of published units.
    """

    num_units: int
    num_rows: int
    num_publishers: int
    num_kills: int
    num_versions: int
    num_fragments: int
    num_left_by_kills: int
    num_lost: int
    num_doubled: int
    num_unreadable: int
    num_orphans: int
    num_staged_left: int
    seconds: float

    @property
    def is_exact(self) -> bool:
        """True when nothing was lost, doubled, unreadable or left over."""
        wrong = self.num_lost + self.num_doubled + self.num_unreadable
        return wrong + self.num_orphans + self.num_staged_left == 0


def main() -> None:
    """Run the race and write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=120)
    parser.add_argument("--unit-size", type=int, default=8)
    parser.add_argument("--publishers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", help="a folder or s3://bucket/prefix; default: a scratch folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        race = Race(options.root or scratch, options)
        result = race.run()
    facts = {"python": platform.python_version(), "cpu_count": os.cpu_count()}
    sys.stdout.write(json.dumps({"benchmark": "exactly_once"} | asdict(result) | facts) + "\n")
    sys.exit(0 if result.is_exact else 1)


class Race:
    """Settles units little by little while it kills and restarts the processes at work."""

    def __init__(self, root: str, options: argparse.Namespace) -> None:
        self.root = root
        self.store = open_store(root)
        self.ledger = Ledger(self.store, LAYOUT)
        self.num_units: int = options.units
        self.unit_size: int = options.unit_size
        self.num_kills: int = options.kills
        self.num_publishers: int = options.publishers
        self.num_left_by_kills = 0
        self.random = random.Random(options.seed)
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["numpy", "pyarrow.dataset", "PIL.Image"])

    def run(self) -> Result:
        """The whole race; the time includes making the images."""
        started = time.perf_counter()
        roles: list[Callable[[str], None]] = [publish_for_ever] * self.num_publishers
        workers = [self._start(role) for role in [*roles, collect_for_ever]]
        settled = 0
        for kill in range(self.num_kills):
            wanted = (kill + 1) * self.num_units // max(self.num_kills, 1)
            settled = self._settle(settled, wanted)
            time.sleep(self.random.uniform(0.02, 0.25))
            self._kill_one(workers)
        self._settle(settled, self.num_units)
        self._wait_until_published()
        for worker in workers:
            _kill(worker)
        self._collect_all()
        return self._verify(time.perf_counter() - started)

    def _start(self, role: Callable[[str], None]) -> ForkServerProcess:
        worker = self.processes.Process(
            target=role, args=(self.root,), name=role.__name__, daemon=True
        )
        worker.start()
        return worker

    def _kill_one(self, workers: list[ForkServerProcess]) -> None:
        position = self.random.randrange(len(workers))
        worker = workers[position]
        assert worker.is_alive(), f"{worker.name} ended by itself, exit code {worker.exitcode}"
        _kill(worker)
        role = publish_for_ever if position < self.num_publishers else collect_for_ever
        workers[position] = self._start(role)

    def _settle(self, first: int, stop: int) -> int:
        for unit in range(first, stop):
            attempts = [f"{unit}-a", f"{unit}-b"]
            self.random.shuffle(attempts)
            for attempt in attempts:
                settle_attempt(self.store, self.ledger, unit, self.unit_size, attempt)
        return stop

    def _wait_until_published(self) -> None:
        deadline = time.monotonic() + SETTLE_DEADLINE_SECONDS
        while time.monotonic() < deadline:
            if len(published(self.store)) == self.num_units:
                return
            time.sleep(0.1)
        raise StoreUnavailable(
            f"expected {self.num_units} units published within {SETTLE_DEADLINE_SECONDS} s, "
            f"got {len(published(self.store))}"
        )

    def _collect_all(self) -> None:
        while removed := collect(self.store, self.ledger):
            self.num_left_by_kills += removed

    def _verify(self, seconds: float) -> Result:
        dataset = open_lance(self.store, LAYOUT.table(Table.PAIRS), None)
        rows = dataset.to_table(columns=["sample_id", "sha256"]).to_pylist()
        expected = {
            f"{unit}-{position}"
            for unit in range(self.num_units)
            for position in range(self.unit_size)
        }
        counts = Counter(row["sample_id"] for row in rows)
        unreadable = sum(
            hashlib.sha256(read_image(dataset, position)).hexdigest() != row["sha256"]
            for position, row in enumerate(rows)
        )
        return Result(
            num_units=self.num_units,
            num_rows=len(rows),
            num_publishers=self.num_publishers,
            num_kills=self.num_kills,
            num_versions=len(dataset.versions()),
            num_fragments=len(dataset.get_fragments()),
            num_left_by_kills=self.num_left_by_kills,
            num_lost=len(expected - counts.keys()),
            num_doubled=sum(count - 1 for count in counts.values()),
            num_unreadable=unreadable,
            num_orphans=num_orphans(self.store, LAYOUT.table(Table.PAIRS)),
            num_staged_left=len(list(self.store.list(LAYOUT.staging_folder(Stage.PAINT)))),
            seconds=round(seconds, 1),
        )


def publish_for_ever(root: str) -> None:
    """One publisher: publish what is settled, again and again."""
    store = open_store(root)
    ledger = Ledger(store, LAYOUT)
    schema = table_schema(Table.PAIRS, LINEAGE)
    table = PublishedTable(store, LAYOUT.table(Table.PAIRS), schema)

    def rows_of(unit: int) -> pa.Table:
        staged = read_staged(store, ledger.record(Stage.PAINT, unit).staged, ImageRow)
        return to_table([pair_row(row) for row in staged], schema)

    while True:
        publish(table, ledger.settled_units(Stage.PAINT), rows_of, limits=LIMITS)


def collect_for_ever(root: str) -> None:
    """The garbage collector: staged files and table files, again and again."""
    store = open_store(root)
    ledger = Ledger(store, LAYOUT)
    while True:
        collect(store, ledger)
        time.sleep(0.005)


def collect(store: ObjectStore, ledger: Ledger) -> int:
    """One collection; returns how many files went."""
    staged = collect_staged(store, LAYOUT, ledger, Stage.PAINT, published(store))
    return staged.num_files + collect_table(store, LAYOUT.table(Table.PAIRS)).num_files


def published(store: ObjectStore) -> set[int]:
    """Units in the table now."""
    key = LAYOUT.table(Table.PAIRS)
    return published_units(open_lance(store, key, None)) if table_exists(store, key) else set()


def read_image(dataset: lance.LanceDataset, position: int) -> bytes:
    """The image of the row at this position; empty when its file is gone."""
    try:
        ((_, data),) = dataset.read_blobs("image", indices=[position])
    except (OSError, ValueError):
        return b""
    return data or b""


def num_orphans(store: ObjectStore, key: str) -> int:
    """Data files of a table that no version names, counted without the collector's own code."""
    latest = open_lance(store, key, None)
    named = {
        Path(file.path).stem
        for version in latest.versions()
        for fragment in latest.checkout_version(version["version"]).get_fragments()
        for file in fragment.metadata.files
    }
    listed = [info.key.removeprefix(f"{key}/data/") for info in store.list(f"{key}/data/")]
    temporary = [path for path in listed if path.startswith(".")]
    return len(temporary) + sum(Path(path).parts[0].split(".")[0] not in named for path in listed)


def settle_attempt(
    store: ObjectStore, ledger: Ledger, unit: int, unit_size: int, attempt: str
) -> LedgerRecord:
    """One attempt at a unit: paint, stage, settle. Another may have settled it before."""
    rows = [image_row(unit, position, unit_size, attempt) for position in range(unit_size)]
    staged = write_staged(store, LAYOUT, Stage.PAINT, unit, attempt, rows, ImageRow)
    outcomes = tuple(
        SampleOutcome(row.written.sample.index, row.outcome, row.reason, row.signature)
        for row in rows
    )
    return ledger.settle(
        LedgerRecord(
            Stage.PAINT, unit, attempt, staged.key, staged.num_bytes, staged.sha256, outcomes
        )
    )


def image_row(unit: int, position: int, unit_size: int, attempt: str) -> ImageRow:
    """A row as the paint stage makes them, with noise for an image."""
    index = unit * unit_size + position
    png = noise_png(index, PNG_SIDES_PX[index % 7 == 0])
    made = _provenance(attempt)
    sample = Sample(
        index=index,
        sample_id=f"{unit}-{position}",
        unit=unit,
        split=Split.TRAIN,
        entities=(Entity("pleural effusion", EntityKind.DISEASE, EntityStatus.PRESENT),),
        view=View.PA,
    )
    report = Report("There is a pleural effusion.", "Pleural effusion.")
    written = ReportRow(sample, Outcome.ACCEPTED, None, report, sample.entities, (), made)
    digest = hashlib.sha256(png).hexdigest()
    return ImageRow(written, Outcome.ACCEPTED, None, png, digest, 48, 48, digest, (), (), made)


def noise_png(seed: int, side_px: int) -> bytes:
    """A grey PNG of noise, which does not compress."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side_px, side_px), dtype=np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG", compress_level=1)
    return target.getvalue()


def _provenance(attempt: str) -> Provenance:
    return Provenance("noise", "1", attempt, 0, 1, "", "", "", "", "0", 0.0, "{}")


def _kill(worker: ForkServerProcess) -> None:
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()


if __name__ == "__main__":
    main()
