"""A dataset of a million samples: planned, resumed, published. One JSON line each.

    python -m benchmarks.scale plan
    python -m benchmarks.scale resume [--missing tail|scattered]
    python -m benchmarks.scale publish [--image-bytes 1000]

Time and peak memory are those of a fresh process; what is measured on was made by another. CPU
seconds stand beside wall seconds, for machines that do other work too.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

Figures = dict[str, Any]
NAME, SHARD_UNITS, PAGE_OBJECTS = "scale", 64, 1000  # S3 lists a thousand objects per request


def main() -> None:
    """Run one of the three and write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["plan", "resume", "publish"])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--entities", type=int, default=150_000)
    parser.add_argument("--missing", choices=["tail", "scattered"], default="tail")
    parser.add_argument("--units", type=int, default=10_000, help="of 16 rows, to publish")
    parser.add_argument("--image-bytes", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        steps = {"plan": [plan], "resume": [settle, resume], "publish": [stage, publish]}
        for step in steps[options.what]:
            figures = _in_fresh_process(step, root, options)
        facts = {"python": platform.python_version(), "cpu_count": os.cpu_count()}
        line = {"benchmark": "scale", "what": options.what} | figures | facts
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()  # deleting what was made takes long


def plan(root: str, options: argparse.Namespace) -> Figures:
    """Draw and write the samples of a plan of study 1's size and shape."""
    from benchmarks.sampler import synthetic_table
    from models.sampling.feasibility import smallest_max_uses
    from models.sampling.patients import PatientMix
    from models.sampling.rules import SamplingRules
    from models.vocabulary.concepts import load_vocabulary
    from storage.dataset import open_dataset
    from storage.layout import Table
    from storage.samples import publish_samples
    from storage.table_schemas import Lineage
    from storage.tables import open_lance
    from storage.units import partition
    from tasks.planning import Drawing

    table = synthetic_table(load_vocabulary(), options.entities, seed=1)
    cap = smallest_max_uses(table, SamplingRules(), options.samples)
    assert cap is not None, "too few entities for so many samples"
    units = partition(None, options.samples, 32)
    dataset, named = open_dataset(root, NAME), "f" * 64
    drawing = Drawing(
        table=table,
        rules=SamplingRules(max_uses=cap),
        patients=PatientMix(),
        split_shares=(0.7, 0.15, 0.15),
        seed=1,
        fingerprint=named,
        units=tuple(units),
    )
    with _measured() as figures:
        lineage = Lineage(NAME, named, restricted=False)
        done = publish_samples(dataset, lineage, units, drawing.rows)
    written = open_lance(dataset.store, dataset.layout.table(Table.SAMPLES), None)
    assert written.count_rows() == options.samples
    return figures | {
        "samples": options.samples,
        "entities": options.entities,
        "max_uses": cap,
        "num_commits": done.num_commits,
        "num_fragments": len(written.get_fragments()),
        "table_mib": _mib(info.num_bytes for info in dataset.store.list(dataset.layout.folder)),
    }


def settle(root: str, options: argparse.Namespace) -> Figures:
    """Plan a dataset and settle 99 % of its units, shard by shard, as workers do."""
    from flows.plans import DatasetPlan
    from flows.work import lock_work
    from storage.dataset import open_dataset
    from storage.ledger import LedgerRecord, SampleOutcome
    from storage.records import Outcome, Stage
    from storage.samples import publish_samples

    wanted = {"name": NAME, "target": {"all": options.samples}, "unit_size": 32}
    drawn = {"clinical_per_report": 3, "anatomy_per_report": 1, "max_uses": options.samples}
    engines = {"writer": {"kind": "grammar"}, "painter": {"kind": "phantom"}}
    entities = {"entities": {"kind": "built-in"}, "sampling": drawn}
    work = lock_work(DatasetPlan.model_validate(wanted | entities | engines), root)
    units = work.units
    publish_samples(work.dataset, work.lineage(), units, work.drawing().rows)
    missing = _missing(len(units), options.missing)

    def settle_shard(first: int) -> None:
        chance = random.Random(first)
        dataset = open_dataset(root, NAME)
        shard = [unit for unit in units[first : first + SHARD_UNITS] if unit.number not in missing]
        for stage in (Stage.WRITE, Stage.PAINT):
            for unit in shard:
                outcomes = tuple(
                    SampleOutcome(
                        index,
                        Outcome.ACCEPTED,
                        None,
                        f"{chance.getrandbits(256):064x}" if stage is Stage.PAINT else "",
                    )
                    for index in unit.indices
                )
                key = dataset.layout.staged(stage, unit.number, "1-0123456789ab")
                made = ("1-0123456789ab", key, 100_000, "0" * 64, outcomes, "host:1", 1.0, 2.0, 0.5)
                dataset.ledger.settle(LedgerRecord(stage, unit.number, *made))
            dataset.ledger.write_digest(stage)

    with ThreadPoolExecutor(8) as workers:  # the disk is waited for
        list(workers.map(settle_shard, range(0, len(units), SHARD_UNITS)))
    return {}


def resume(root: str, options: argparse.Namespace) -> Figures:
    """What a run does before its first unit: find what is planned, settled, and wanted."""
    from flows.work import open_work
    from storage.dataset import Dataset
    from storage.ledger import Ledger
    from storage.samples import publish_samples, read_samples

    with _measured() as figures:
        work = open_work(root, NAME)
        store = _CountingStore(work.dataset.store)
        dataset = Dataset(store, work.dataset.layout, Ledger(store, work.dataset.layout))
        work = replace(work, dataset=dataset)
        publish_samples(dataset, work.lineage(), work.units, work.drawing().rows)
        shards = next(work.wanted_shards())
        read_samples(dataset, shards[0].units)
    wanted = {unit for shard in shards for unit in shard.units}
    assert wanted == _missing(len(work.units), options.missing)
    return figures | {
        "samples": options.samples,
        "units": len(work.units),
        "wanted_units": len(wanted),
        "missing": options.missing,
        "store_requests": store.requests,
    }


def stage(root: str, options: argparse.Namespace) -> Figures:
    """Settle units of 16 painted rows, each with an image of about so many bytes of noise."""
    import hashlib

    from benchmarks.exactly_once import image_row, noise_png
    from storage.dataset import open_dataset
    from storage.ledger import LedgerRecord, SampleOutcome
    from storage.records import ImageRow, Outcome, Stage
    from storage.staging import write_staged

    dataset = open_dataset(root, NAME)
    made, side = image_row(0, 1, 16, "a"), math.isqrt(options.image_bytes - 100)

    def row(index: int) -> ImageRow:
        png = noise_png(index, side)
        sample = replace(
            made.written.sample, index=index, sample_id=f"{index:032x}", unit=index // 16
        )
        digest = hashlib.sha256(png).hexdigest()
        return replace(made, written=replace(made.written, sample=sample), png=png, sha256=digest)

    def settle_unit(unit: int) -> None:
        rows = [row(index) for index in range(unit * 16, unit * 16 + 16)]
        staged = write_staged(dataset.store, dataset.layout, Stage.PAINT, unit, "a", rows, ImageRow)
        outcomes = tuple(
            SampleOutcome(row.index, Outcome.ACCEPTED, None, row.sha256) for row in rows
        )
        dataset.ledger.settle(
            LedgerRecord(
                Stage.PAINT, unit, "a", staged.key, staged.num_bytes, staged.sha256, outcomes
            )
        )

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(settle_unit, range(options.units)))
    dataset.ledger.write_digest(Stage.PAINT)
    return {}


def publish(root: str, options: argparse.Namespace) -> Figures:
    """Publish the pairs of all units from their staged files."""
    from storage.dataset import open_dataset
    from storage.layout import Table
    from storage.publication import publish_table
    from storage.records import Stage
    from storage.selection import SelectionRules, select
    from storage.table_schemas import Lineage
    from storage.tables import open_lance
    from storage.units import partition

    dataset = open_dataset(root, NAME)
    with _measured() as figures:
        records = {Stage.PAINT: dataset.ledger.settled(Stage.PAINT)}
        units = partition(None, options.units * 16, 16)
        selection = select(units, records, SelectionRules(None))
        lineage = Lineage(NAME, "f" * 64, restricted=False)
        done = publish_table(dataset, Table.PAIRS, selection, lineage)
    table = open_lance(dataset.store, dataset.layout.table(Table.PAIRS), None)
    assert table.count_rows() == done.num_rows == options.units * 16
    ((_, image),) = table.read_blobs("image", indices=[0])
    return figures | {
        "units": options.units,
        "image_bytes": len(image),
        "num_versions": len(table.versions()),
        "num_fragments": len(table.get_fragments()),
        "image_mb_per_second": round(done.num_rows * len(image) / 1e6 / figures["seconds"], 1),
    }


class _CountingStore:
    """A store that counts requests as S3 would take them; what Lance itself reads is not seen."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.requests: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name in ("get", "put", "put_if_absent", "exists", "delete"):
            self.requests[name] += 1
        return call

    def list(self, prefix: str) -> Iterator[Any]:
        """Listed a page at a time."""
        for number, found in enumerate(self._store.list(prefix)):
            self.requests["list"] += number % PAGE_OBJECTS == 0
            yield found


def _missing(num_units: int, where: str) -> set[int]:
    """The hundredth of the units that is not settled."""
    num = num_units // 100
    if where == "tail":
        return set(range(num_units - num, num_units))
    return set(random.Random(0).sample(range(num_units), num))


@contextmanager
def _measured() -> Iterator[Figures]:
    figures: Figures = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield figures
    figures["seconds"] = round(time.perf_counter() - wall, 2)
    figures["cpu_seconds"] = round(time.process_time() - cpu, 2)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures["peak_mib_of_process"] = round(peak_kib / 1024)


def _in_fresh_process(
    step: Callable[[str, argparse.Namespace], Figures], root: str, options: argparse.Namespace
) -> Figures:
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as process:
        return process.submit(step, root, options).result()


def _mib(sizes: Iterable[int]) -> float:
    return round(sum(sizes) / 2**20, 2)


if __name__ == "__main__":
    main()
