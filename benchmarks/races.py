"""Several at once do the same work on small datasets: is everything there exactly once?

    python -m benchmarks.races --datasets 20

For each dataset six processes race: two identical orchestrators, as on two hosts; two that run
every shard once more, beside all keys and locks; two that publish until there is a release. Half
of the datasets lie on a real S3 server. Prints one JSON line; exit status 1 if a dataset is not
what one undisturbed run makes of its plan.
"""

import argparse
import json
import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.chaos.painters import python_path
from tests.storage.seaweed import BUCKET, seaweedfs, use_server

if TYPE_CHECKING:
    from benchmarks.chaos.checks import Identities
    from benchmarks.chaos.made import Made
    from flows.work import Work

DEADLINE_SECONDS = 600.0  # of one dataset
VARIANTS = (0, 1)  # of benchmarks.chaos.made: quick and unhurried phantoms
_POLL_SECONDS = 0.2


def orchestrate(made: "Made") -> str:
    """Make the dataset inline; while another holds it on this host, come again."""
    from flows.generate import generate_dataset
    from storage.errors import DatasetBusy

    while True:
        try:
            generate_dataset(made.plan, made.root)
        except DatasetBusy:
            time.sleep(_POLL_SECONDS)
        else:
            return "released"


def run_shards(made: "Made") -> str:
    """Run every shard that lacks units, as if nobody else did."""
    from flows.generate import paint_image_shard, write_report_shard

    work = _once_planned(made)
    while work.wanted_units():
        for shards in work.wanted_shards():
            for shard in shards:
                write_report_shard(shard)
                paint_image_shard(shard)
    return "settled"


def publish(made: "Made") -> str:
    """Publish what is settled, again and again, until nothing lacks."""
    from flows.generate import publish_dataset
    from storage.errors import EngineFailed

    _once_planned(made)
    while True:
        try:
            publish_dataset(made.name, made.root)
        except EngineFailed:  # units are not settled
            time.sleep(_POLL_SECONDS)
        else:
            return "released"


ROLES: tuple[Callable[["Made"], str], ...] = (orchestrate, run_shards, publish)


def race(made: "Made", folder: Path) -> Counter[str]:
    """All roles twice, at once; how many ended how."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["prefect", "flows.plans"])  # no lance: it is not fork-safe
    said = processes.SimpleQueue()
    racers = []
    for host in ("one", "other"):
        for role in ROLES:
            racer = processes.Process(
                target=_enter, args=(role, made, str(folder / host), said), daemon=True
            )
            racer.start()
            racers.append(racer)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while any(racer.is_alive() for racer in racers) and time.monotonic() < deadline:
        made.look()
        time.sleep(_POLL_SECONDS)
    for racer in racers:
        racer.kill()
        racer.join()
    ended: Counter[str] = Counter()
    while not said.empty():
        ended[said.get()] += 1
    ended["without an end"] = len(racers) - ended.total()
    return +ended


def races(folder: Path, num_datasets: int) -> dict[str, object]:
    """One race after another; what the JSON line says."""
    from benchmarks.chaos.checks import failures

    began = time.monotonic()
    undisturbed = _undisturbed(folder / "alone")
    found: list[str] = []
    ended: Counter[str] = Counter()
    for number in range(num_datasets):
        root = f"s3://{BUCKET}/races" if number % 2 else str(folder / "races")
        made = _made(VARIANTS[number % len(VARIANTS)], f"r{number:02}", root)
        ended.update(race(made, folder))
        assert made.variant is not None
        found += failures(made, undisturbed[made.variant])
    wanted = {"orchestrate released", "run_shards settled", "publish released"}
    return {
        "benchmark": "races",
        "datasets": num_datasets,
        "on_s3": num_datasets // 2,
        "processes_a_dataset": 2 * len(ROLES),
        "ended": dict(sorted(ended.items())),
        "failures": found + [one for one in ended if one not in wanted],
        "seconds": round(time.monotonic() - began, 1),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }


def _enter(
    role: Callable[["Made"], str],
    made: "Made",
    host: str,
    said: "multiprocessing.queues.SimpleQueue[str]",
) -> None:
    """One racer, on a host of its own as far as locks beside S3 are concerned."""
    Path(host).mkdir(exist_ok=True)
    tempfile.tempdir = host
    try:
        end = role(made)
    except Exception as error:  # noqa: BLE001 - whatever it is, the race has found it
        end = f"{type(error).__name__}: {error}"
    said.put(f"{role.__name__} {end}")


def _once_planned(made: "Made") -> "Work":
    """The dataset's work, when its plan is locked and its samples are drawn."""
    from storage.layout import Table

    store, layout = made.dataset.store, made.dataset.layout
    while not any(store.list(f"{layout.table(Table.SAMPLES)}/_versions/")):
        time.sleep(_POLL_SECONDS)
    return made.work()


def _undisturbed(folder: Path) -> dict[int, "Identities"]:
    """What each plan gives when nobody races."""
    from benchmarks.chaos.checks import identities

    found = {}
    for variant in VARIANTS:
        made = _made(variant, f"alone-{variant}", str(folder))
        orchestrate(made)
        found[variant] = identities(made)
    return found


def _made(variant: int, name: str, root: str) -> "Made":
    from benchmarks.chaos.made import Made, variant_plan

    plan = variant_plan(variant, name)
    execution = plan.execution.model_copy(update={"dispatch": "inline"})
    inline = plan.model_copy(update={"execution": execution})
    return Made(inline, root, variant, by_command=True)


@contextmanager
def _server() -> Iterator[None]:
    """A Prefect server that this process and all racers speak to."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
        yield


def main() -> None:
    """Race and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=20)
    arguments = parser.parse_args()
    from flows.cli import PREFECT_DEFAULTS

    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # that a lock is held is expected
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started ends
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(scratch)
        (folder / "s3").mkdir()
        path = python_path(folder / "site")
        patch.setenv("PYTHONPATH", path)  # of engines' processes
        for place in reversed(path.split(os.pathsep)):
            patch.syspath_prepend(place)
        with seaweedfs(folder / "s3") as server, _server():
            use_server(patch, server)
            line = races(folder, arguments.datasets)
    sys.stdout.write(json.dumps(line) + "\n")
    sys.exit(1 if line["failures"] else 0)


if __name__ == "__main__":
    main()
