"""What the factory costs around an engine, against a bare loop over the same engine.

    python -m benchmarks.overhead [--units 120] [--unit-seconds 1.0]

The engine sleeps for its units, so that what is measured is Prefect (inline), queue, gates,
ledger, staging, publishing to Lance and the release. Prints one JSON line: the cost per unit with
units that take no time, and the share of the bare loop's speed with units of `--unit-seconds`.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from models.engines import EngineConfig, EngineInfo, PaintedImage, PaintRequest, Placement
from storage.records import Report, View

UNIT_SIZE = 8
ENTRY_POINT = "[cxr_factory.painters]\nsleeping = benchmarks.overhead:SleepingConfig\n"


class SleepingConfig(EngineConfig):
    """A painter that takes a fixed time a batch and returns noise of 64 px."""

    placement: ClassVar[Placement] = Placement.IN_PROCESS
    kind: Literal["sleeping"] = "sleeping"
    unit_seconds: float = 0.0

    def revision(self) -> str:
        """It never changes."""
        return "1"

    def open(self) -> "SleepingPainter":
        """Nothing to load."""
        return SleepingPainter(self.unit_seconds)


class SleepingPainter:
    """One batch is one unit."""

    info = EngineInfo("sleeping", "1", deterministic=True)
    max_batch_size = UNIT_SIZE

    def __init__(self, unit_seconds: float) -> None:
        self._unit_seconds = unit_seconds

    def paint(self, requests: list[PaintRequest]) -> list[PaintedImage]:
        """Sleep for the share of a unit that the batch is."""
        time.sleep(self._unit_seconds * len(requests) / UNIT_SIZE)
        return [
            PaintedImage(
                np.random.default_rng(request.seed).integers(0, 256, (64, 64)).astype(np.uint8),
                (),
                self._unit_seconds / UNIT_SIZE,
            )
            for request in requests
        ]

    def close(self) -> None:
        """Nothing to give back."""


def bare_seconds(num_units: int, unit_seconds: float) -> float:
    """The engine alone, unit after unit."""
    painter = SleepingConfig(unit_seconds=unit_seconds).open()
    report = Report("", "")
    began = time.perf_counter()
    for unit in range(num_units):
        indices = range(unit * UNIT_SIZE, (unit + 1) * UNIT_SIZE)
        painter.paint([PaintRequest(str(i), i, "", report, (), View.PA) for i in indices])
    return time.perf_counter() - began


def factory_seconds(num_units: int, unit_seconds: float) -> float:
    """The whole `generate-dataset` flow, its server already up."""
    from flows.generate import generate_dataset
    from flows.plans import DatasetPlan

    settings: dict[str, Any] = {
        "name": "overhead",
        "target": {"all": num_units * UNIT_SIZE},
        "unit_size": UNIT_SIZE,
        "entities": {"kind": "built-in"},
        "sampling": {"clinical_per_report": 3, "anatomy_per_report": 1, "max_uses": 10_000},
        "writer": {"kind": "grammar"},
        "painter": {"kind": "sleeping", "unit_seconds": unit_seconds},
        "image_rules": {"gates": [{"kind": "technical"}]},
        "execution": {"shard_units": 10_000},
    }
    with tempfile.TemporaryDirectory() as root:
        began = time.perf_counter()
        release = generate_dataset(DatasetPlan.model_validate(settings), root)
        seconds = time.perf_counter() - began
    assert release.complete
    return seconds


def _register(folder: str) -> None:
    """Make the sleeping engine known, as an installed package would."""
    info = Path(folder) / "sleeping_painter-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sleeping-painter\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINT)
    sys.path.insert(0, folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=120)
    parser.add_argument("--fast-units", type=int, default=400)
    parser.add_argument("--unit-seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    from flows.cli import PREFECT_DEFAULTS

    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    from prefect.testing.utilities import prefect_test_harness

    with tempfile.TemporaryDirectory() as folder, prefect_test_harness():
        _register(folder)
        factory_seconds(4, 0.0)  # imports, first connections
        fast = factory_seconds(arguments.fast_units, 0.0) - bare_seconds(arguments.fast_units, 0.0)
        slow = factory_seconds(arguments.units, arguments.unit_seconds)
        bare = bare_seconds(arguments.units, arguments.unit_seconds)
    line = {
        "benchmark": "overhead",
        "unit_size": UNIT_SIZE,
        "fast_units": arguments.fast_units,
        "ms_per_unit": round(1000 * fast / arguments.fast_units, 2),
        "units": arguments.units,
        "unit_seconds": arguments.unit_seconds,
        "factory_seconds": round(slow, 2),
        "bare_seconds": round(bare, 2),
        "share_of_bare_speed": round(bare / slow, 4),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
