"""The whole promise at once: racing publishers, random SIGKILLs, a collector beside them."""

import json
import subprocess
import sys
from pathlib import Path

import lance

from benchmarks.exactly_once import LAYOUT, PNG_SIDES_PX, noise_png
from storage.layout import Table
from storage.objects import LocalStore
from storage.records import Stage

NUM_UNITS = 120
UNIT_SIZE = 4
_PROJECT = Path(__file__).parents[2]


def test_publishers_killed_at_random_lose_no_row_and_double_none(tmp_path: Path) -> None:
    options = ["--kills", "10", "--units", str(NUM_UNITS), "--unit-size", str(UNIT_SIZE)]
    command = [sys.executable, "-m", "benchmarks.exactly_once", *options, "--root", str(tmp_path)]
    ran = subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (line,) = ran.stdout.splitlines()
    result = json.loads(line)
    assert result["num_kills"] == 10

    store = LocalStore(str(tmp_path))
    pairs = lance.dataset(store.uri(LAYOUT.table(Table.PAIRS)))
    rows = pairs.to_table(columns=["sample_id", "index"]).to_pylist()
    assert sorted(row["index"] for row in rows) == list(range(NUM_UNITS * UNIT_SIZE))
    assert len({row["sample_id"] for row in rows}) == NUM_UNITS * UNIT_SIZE
    images = pairs.read_blobs("image", indices=list(range(len(rows))), preserve_order=True)
    for row, (_, image) in zip(rows, images, strict=True):
        assert image == noise_png(row["index"], PNG_SIDES_PX[row["index"] % 7 == 0])
    assert list(store.list(LAYOUT.staging_folder(Stage.PAINT))) == []
    assert result["num_orphans"] == 0
