"""One sample in a dataset on which the engine always fails: what it costs, and what is lost.

    python -m benchmarks.poison [--samples 2000] [--unit-size 32]

Phantoms by a painter that raises on one sample (`raises`), or whose process ends there as on a
segmentation fault (`dies`). Wanted: every other sample published, that one quarantined with its
reason, and at most 3 + 2·log2(unit size) engine calls more than without the fault. Prints one JSON
line; exit status 1 if anything is otherwise.

An extra call is one with a sample in it that an earlier call had already: without faults, each
sample is in one call, since these phantoms pass their gate at the first try.
"""

import argparse
import json
import math
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from benchmarks.installed import install_engine
from models.engines import PaintedImage, PaintRequest
from models.painters.configs import PhantomConfig

if TYPE_CHECKING:
    from models.painters.phantom.painter import PhantomPainter

FOLDER_VARIABLE = "CXR_POISON_FOLDER"  # holds the id of the sample, and a line for every call
VARIANTS = ("raises", "dies")


class PoisonedConfig(PhantomConfig):
    """A phantom painter with one sample it cannot paint, named in a file when work begins."""

    kind: Literal["poisoned"] = "poisoned"  # type: ignore[assignment]
    fault: Literal["raises", "dies"] = Field(description="What happens on the sample.")

    def open(self) -> "PoisonedPainter":  # type: ignore[override]
        """As a phantom painter."""
        return PoisonedPainter(super().open(), self.fault, Path(os.environ[FOLDER_VARIABLE]))


class PoisonedPainter:
    """Notes its calls; fails where the sample is among the requests."""

    max_batch_size = 256

    def __init__(self, phantom: "PhantomPainter", fault: str, folder: Path) -> None:
        self.info, self.close = phantom.info, phantom.close
        self._phantom, self._fault, self._folder = phantom, fault, folder
        self._poison = (folder / "sample").read_text()

    def paint(self, requests: Sequence[PaintRequest]) -> list[PaintedImage]:
        """Paint, unless the sample is among them."""
        asked = [request.sample_id for request in requests]
        with (self._folder / "calls").open("a") as calls:
            calls.write(" ".join(asked) + "\n")
        if self._poison in asked and self._fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._poison in asked:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return self._phantom.paint(requests)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one dataset.

    Attributes:
        published: Pairs in the release.
        quarantined: Indices of the samples that were given up.
        reason: Why, as the rejects' table has it.
        said: The engine's words, which are kept with it.
        calls: Engine calls in all.
        extra_calls: Those with a sample in them that an earlier call had.
        seconds: Of the whole flow.
    """

    published: int
    quarantined: list[int]
    reason: str
    said: str
    calls: int
    extra_calls: int
    seconds: float


def poisoned_dataset(folder: Path, fault: str, num_samples: int, unit_size: int) -> Result:
    """Make a dataset one of whose samples, amid a unit, cannot be painted.

    Args:
        folder: Empty; for the dataset and the painter's notes. The engine must be installed.
        fault: "raises" or "dies".
        num_samples: In the plan.
        unit_size: Samples a unit.
    """
    import lance

    from flows.generate import generate_dataset
    from flows.plans import DatasetPlan
    from flows.work import lock_work
    from storage.identity import sample_id

    plan = DatasetPlan.model_validate(_settings(fault, num_samples, unit_size))
    root = str(folder / "factory")
    poison = poisoned_index(num_samples)
    (folder / "sample").write_text(sample_id(lock_work(plan, root).fingerprint, poison))
    os.environ[FOLDER_VARIABLE] = str(folder)
    began = time.perf_counter()
    release = generate_dataset(plan, root)
    seconds = time.perf_counter() - began
    columns = ["index", "outcome", "reason", "painted"]
    rejects = lance.dataset(f"{root}/datasets/{plan.name}/rejects.lance").to_table(columns=columns)
    given_up = [row for row in rejects.to_pylist() if row["outcome"] == "quarantined"]
    calls = [line.split() for line in (folder / "calls").read_text().splitlines()]
    return Result(
        published=release.num_accepted,
        quarantined=[row["index"] for row in given_up],
        reason=", ".join(row["reason"] for row in given_up),
        said=", ".join(row["painted"]["prompt"] for row in given_up),
        calls=len(calls),
        extra_calls=num_extra(calls),
        seconds=round(seconds, 1),
    )


def poisoned_index(num_samples: int) -> int:
    """Of the sample at fault."""
    return num_samples // 3


def num_extra(calls: Sequence[Sequence[str]]) -> int:
    """Calls with a sample in them that an earlier one had."""
    seen: set[str] = set()
    extra = 0
    for asked in calls:
        extra += not seen.isdisjoint(asked)
        seen.update(asked)
    return extra


def most_extra(unit_size: int) -> int:
    """Two more attempts, one of a unit that shared the first batch, and the halving."""
    return 3 + 2 * math.ceil(math.log2(unit_size))


def _settings(fault: str, num_samples: int, unit_size: int) -> dict[str, Any]:
    return {
        "name": "poison",
        "target": {"all": num_samples},
        "unit_size": unit_size,
        "entities": {"kind": "built-in"},
        "sampling": {"clinical_per_report": 3, "anatomy_per_report": 1, "max_uses": 10_000},
        "writer": {"kind": "grammar"},
        "painter": {"kind": "poisoned", "image_size_px": 64, "fault": fault},
        # what is lost is to be the sample at fault alone, not those that look like another
        "image_rules": {"near_duplicate_max_distance": None},
        "execution": {
            "num_processes": 1,
            "max_batch_size": unit_size,
            "retry_delay_seconds": 0.0,
        },
    }


def main() -> None:
    """Measure both faults and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--unit-size", type=int, default=32)
    options = parser.parse_args()
    from flows.cli import PREFECT_DEFAULTS

    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    from prefect.testing.utilities import prefect_test_harness

    found: dict[str, Result] = {}
    config = "benchmarks.poison:PoisonedConfig"
    with (
        tempfile.TemporaryDirectory() as scratch,
        prefect_test_harness(server_startup_timeout=120),
    ):
        install_engine(Path(scratch) / "site", "painters", "poisoned", config)
        for fault in VARIANTS:
            folder = Path(scratch) / fault
            folder.mkdir()
            found[fault] = poisoned_dataset(folder, fault, options.samples, options.unit_size)
    line = {
        "benchmark": "poison",
        "samples": options.samples,
        "unit_size": options.unit_size,
        "most_extra_calls": most_extra(options.unit_size),
        **{fault: asdict(result) for fault, result in found.items()},
        "python": platform.python_version(),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    wanted = (options.samples - 1, [poisoned_index(options.samples)])
    as_wanted = all(
        (result.published, result.quarantined) == wanted
        and result.extra_calls <= most_extra(options.unit_size)
        for result in found.values()
    )
    sys.exit(0 if as_wanted else 1)


if __name__ == "__main__":
    main()
