"""How many S3 requests a dataset costs: made anew, resumed when complete, and asked its status.

    python -m benchmarks.s3_requests [--units 64]

A real S3 server (SeaweedFS) on this machine, and before it an address that counts. Prints one JSON
line. What a request costs depends on its kind: PUT and LIST are dear, GET is cheap, DELETE free.
"""

import argparse
import json
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.storage.flaky_s3 import FlakyServer, flaky
from tests.storage.seaweed import BUCKET, seaweedfs, use_server

ROOT = f"s3://{BUCKET}/counted"
UNIT_SIZE = 4


def count(num_units: int, server: FlakyServer) -> dict[str, dict[str, int]]:
    """Requests by what was done and by kind; those for each unit alone beside their sum."""
    from flows.generate import generate_dataset
    from flows.plans import DatasetPlan
    from flows.status import dataset_status
    from flows.work import open_work

    plan = DatasetPlan.model_validate(
        {
            "name": "counted",
            "target": {"all": num_units * UNIT_SIZE},
            "unit_size": UNIT_SIZE,
            "entities": {"kind": "built-in"},
            "sampling": {"clinical_per_report": 3, "anatomy_per_report": 1, "max_uses": 10_000},
            "writer": {"kind": "grammar"},
            "painter": {"kind": "phantom", "image_size_px": 64},
            "execution": {"shard_units": 10_000, "num_processes": 1},
        }
    )
    counted = {}
    for name, act in {
        "made": lambda: generate_dataset(plan, ROOT),
        "resumed": lambda: generate_dataset(plan, ROOT),
        "status": lambda: dataset_status(open_work(ROOT, plan.name)),
    }.items():
        server.requests.clear()
        act()
        counted[name] = _by_kind(server.requests)
    return counted


def _by_kind(requests: Counter[str]) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    for what, number in requests.items():
        method, _, name = what.partition(" ")
        kinds[method] += number
        if name in ("ledger", "staging", "failures"):
            kinds[f"{method} {name}"] += number
    return {"all": requests.total(), **dict(sorted(kinds.items()))}


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=64)
    arguments = parser.parse_args()
    from flows.cli import PREFECT_DEFAULTS

    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    from prefect.testing.utilities import prefect_test_harness

    with (
        tempfile.TemporaryDirectory() as folder,
        prefect_test_harness(server_startup_timeout=120),
        seaweedfs(Path(folder)) as server,
        flaky(server.endpoint) as between,
        pytest.MonkeyPatch.context() as patch,
    ):
        use_server(patch, server, between.endpoint)
        counted = count(arguments.units, between)
    line = {"benchmark": "s3_requests", "units": arguments.units, "unit_size": UNIT_SIZE} | counted
    print(json.dumps(line))  # noqa: T201


if __name__ == "__main__":
    main()
