"""How long 10,000 settled units of 16 rows with 1 kB images take to publish. One JSON line.

The rows are made in memory, so that this is the publisher and Lance alone. Also the time to list
and read as many ledger records, and to decide what is published with the near-duplicate gate.

    python -m benchmarks.publish
"""

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import replace

import pyarrow as pa

from benchmarks.exactly_once import LAYOUT, LINEAGE, image_row
from storage.layout import Table
from storage.ledger import Ledger, LedgerRecord, SampleOutcome
from storage.objects import ObjectStore, open_store
from storage.publisher import publish
from storage.records import Outcome, Stage
from storage.rows import pair_row, to_table
from storage.selection import SelectionRules, select
from storage.table_schemas import table_schema
from storage.tables import PublishedTable
from storage.units import partition

IMAGE_BYTES = 1000


def main() -> None:
    """Publish, read the ledger, select; write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--unit-size", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        store = open_store(root)
        figures = time_publish(store, options.units, options.unit_size)
        figures |= time_ledger(store, options.units, options.unit_size)
    facts = {"python": platform.python_version(), "cpu_count": os.cpu_count()}
    line = {"benchmark": "publish", "units": options.units, "unit_size": options.unit_size}
    sys.stdout.write(json.dumps(line | figures | facts) + "\n")


def time_publish(store: ObjectStore, num_units: int, unit_size: int) -> dict[str, float]:
    """Publish into an empty table, then again, which finds everything there."""
    schema = table_schema(Table.PAIRS, LINEAGE)
    table = PublishedTable(store, LAYOUT.table(Table.PAIRS), schema)
    made = pair_row(image_row(0, 1, unit_size, "a"))

    def rows_of(unit: int) -> pa.Table:
        first = unit * unit_size
        rows = [
            made | {"sample_id": f"{index:032x}", "index": index, "unit": unit, "image": image}
            for index in range(first, first + unit_size)
            for image in [index.to_bytes(8, "big") * (IMAGE_BYTES // 8)]
        ]
        return to_table(rows, schema)

    started = time.perf_counter()
    done = publish(table, range(num_units), rows_of)
    published = time.perf_counter()
    publish(table, range(num_units), rows_of)
    return {
        "publish_seconds": round(published - started, 2),
        "publish_rows_per_second": round(done.num_rows / (published - started)),
        "publish_again_seconds": round(time.perf_counter() - published, 3),
        "num_commits": done.num_commits,
        "num_fragments": len(table.open().get_fragments()),
    }


def time_ledger(store: ObjectStore, num_units: int, unit_size: int) -> dict[str, float]:
    """Settle every unit, read all records by a fresh ledger, and select among them."""
    units = partition(None, num_units * unit_size, unit_size)
    records = [_record(unit.number, unit.indices) for unit in units]
    writer = Ledger(store, LAYOUT)
    started = time.perf_counter()
    for record in records:
        writer.settle(record)
    settled = time.perf_counter()
    of_paint = Ledger(store, LAYOUT).settled(Stage.PAINT)
    read = time.perf_counter()
    of_write = {number: replace(record, stage=Stage.WRITE) for number, record in of_paint.items()}
    stages = {Stage.WRITE: of_write, Stage.PAINT: of_paint}
    select(units, stages, SelectionRules(None))
    plain = time.perf_counter()
    select(units, stages, SelectionRules(None, near_duplicate_max_distance=12))
    return {
        "settle_ms_per_unit": round((settled - started) / num_units * 1000, 2),
        "ledger_read_seconds": round(read - settled, 2),
        "select_seconds": round(plain - read, 2),
        "select_with_near_duplicates_seconds": round(time.perf_counter() - plain, 2),
    }


def _record(unit: int, indices: range) -> LedgerRecord:
    outcomes = tuple(
        SampleOutcome(
            index, Outcome.ACCEPTED, None, hashlib.sha256(str(index).encode()).hexdigest()
        )
        for index in indices
    )
    key = LAYOUT.staged(Stage.PAINT, unit, "a")
    return LedgerRecord(Stage.PAINT, unit, "a", key, 0, "0" * 64, outcomes)


if __name__ == "__main__":
    main()
