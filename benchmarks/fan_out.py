"""How well one machine keeps eight workers busy, and what that leaves in Prefect's database.

    python -m benchmarks.fan_out [--units 120]

A real Prefect server, eight process workers, one shard of `--units` units for each, and a painter
that sleeps a second a unit: what is lost is lost to processes, Prefect, ledger and staging. The
reports are written beforehand, in this process, so that all shards can be begun at once. Prints one
JSON line:

- `steady_share`: units settled between the moment when the last of the eight has begun its first
  unit and the moment when the first of them has settled its last, of those that eight engines
  without any cost would settle in that time;
- `whole_share`: the time of eight such engines, of the time from `generate-dataset`'s start to its
  release, starts of processes and publishing included;
- `rows`: rows added to the tables of Prefect's database by a dataset of one shard, written and
  painted, per unit, with 4 and with 16 samples a unit.
"""

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.installed import install_engine
from benchmarks.overhead import UNIT_SIZE
from deployments.children import Child
from deployments.settings import fleet_settings
from deployments.up import server_command
from deployments.workers import WorkerPlace
from tests.deployments.processes import free_ports, wait_until

POOL = "gpu-image"
READY_SECONDS = 300.0
QUIET_SECONDS = 3.0  # the server takes events in batches, one a second


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--units", type=int, default=120, help="of every shard")
    parser.add_argument("--unit-seconds", type=float, default=1.0)
    parser.add_argument("--growth-units", type=int, default=100)
    parser.add_argument("--logs", type=Path, help="folder for the processes' logs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, _fleet(Path(scratch), options) as database:
        fan_out = measure_fan_out(scratch, options)
        grown = {
            f"{size} samples a unit": measure_rows(scratch, options.growth_units, size, database)
            for size in (4, 16)
        }
    line = {
        "benchmark": "fan_out",
        "workers": options.workers,
        "units_per_shard": options.units,
        "unit_seconds": options.unit_seconds,
        **fan_out,
        "rows": grown,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }
    sys.stdout.write(json.dumps(line) + "\n")


@contextmanager
def _fleet(scratch: Path, options: argparse.Namespace) -> Iterator[Path]:
    """Server, pools, deployments and workers; gives the server's database."""
    install_engine(scratch / "site", "painters", "sleeping", "benchmarks.overhead:SleepingConfig")
    (port,) = free_ports(1)
    home = scratch / "prefect"
    from flows.cli import PREFECT_DEFAULTS

    # before Prefect is imported, which reads them once; one thread a process, as on a shared host
    os.environ.update(PREFECT_DEFAULTS | fleet_settings(home, port))
    os.environ.update(PREFECT_LOGGING_LEVEL="WARNING", OMP_NUM_THREADS="1")
    logs = options.logs or home / "logs"
    server = Child("server", server_command(port), os.environ, logs / "server.log")
    places = [WorkerPlace(f"{POOL}-{number}", POOL, None, 1) for number in range(options.workers)]
    places.append(WorkerPlace("gpu-text", "gpu-text", None, 1))  # dispatch asks that it be there
    workers = [
        Child(place.name, place.command(), os.environ, logs / f"{place.name}.log")
        for place in places
    ]
    try:
        server.start()
        _set_up(scratch, workers)
        yield home / "prefect.db"
    finally:
        for child in (*workers, server):
            child.ask_to_stop()
        for child in (*workers, server):
            child.wait()


def _set_up(scratch: Path, workers: Sequence[Child]) -> None:
    """Wait for the server, make pools and deployments, wait for the workers."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentUpdate

    from deployments.initialise import initialise

    with get_client(sync_client=True) as client:
        wait_until(lambda: client.api_healthcheck() is None, "the server", READY_SECONDS)
        initialise(str(scratch))
        for automation in client.read_automations_by_name("Pretrain on every release"):
            client.pause_automation(automation.id)  # nothing else is to run
        paint = client.read_deployment_by_name("paint-image-shard/paint-image-shard")
        # a run then imports Prefect once, not twice (docs/dispatch.md)
        once = {"command": f"{sys.executable} -m prefect.engine"}
        client.update_deployment(paint.id, DeploymentUpdate(job_variables=once))
        for worker in workers:
            worker.start()

        def num_online() -> int:
            pools = (POOL, "gpu-text")
            return sum(len(client.read_workers_for_work_pool(pool)) for pool in pools)

        wait_until(lambda: num_online() == len(workers), "the workers", READY_SECONDS)


def measure_fan_out(scratch: str, options: argparse.Namespace) -> dict[str, Any]:
    """One shard for each worker, all at once."""
    from storage.dataset import open_dataset
    from storage.records import Stage

    settings = _plan("fan-out", options.workers * options.units, UNIT_SIZE, options.unit_seconds)
    settings["execution"] |= {"shard_units": options.units}
    load = os.getloadavg()[0]
    seconds = _generate(settings, scratch)
    records = open_dataset(scratch, "fan-out").ledger.settled(Stage.PAINT).table
    steady = steady_state(
        np.array(records["worker"].to_pylist()),
        records["started_at"].to_numpy(),
        records["settled_at"].to_numpy(),
        options.unit_seconds,
    )
    ideal = options.units * options.unit_seconds
    whole = {"whole_seconds": round(seconds, 1), "whole_share": round(ideal / seconds, 4)}
    return steady | whole | {"load_at_start": round(load, 2)}


def steady_state(
    worker_N: np.ndarray[Any, Any],
    started_N: np.ndarray[Any, Any],
    settled_N: np.ndarray[Any, Any],
    unit_seconds: float,
) -> dict[str, float]:
    """Share of the ideal while all workers work.

    Args:
        worker_N: Who settled each unit.
        started_N: When its attempt began, seconds since the epoch.
        settled_N: When it was recorded, seconds since the epoch.
        unit_seconds: Engine time of a unit.
    """
    workers = np.unique(worker_N)
    begin = max(started_N[worker_N == worker].min() for worker in workers)
    end = min(settled_N[worker_N == worker].max() for worker in workers)
    num_settled = int(((settled_N > begin) & (settled_N <= end)).sum())
    ideal = len(workers) * (end - begin) / unit_seconds
    return {
        "workers_seen": len(workers),
        "steady_seconds": round(end - begin, 1),
        "steady_units": num_settled,
        "steady_share": round(num_settled / ideal, 4),
    }


def measure_rows(
    scratch: str, num_units: int, unit_size: int, database: Path
) -> dict[str, float | dict[str, float]]:
    """What a dataset of one shard adds to Prefect's database: both its stages, all its runs."""
    before = _settled_rows(database)
    _generate(_plan(f"growth-{unit_size}", num_units, unit_size, 0.0), scratch)
    after = _settled_rows(database)
    added = {table: rows - before.get(table, 0) for table, rows in after.items()}
    total = sum(added.values())
    return {
        "per_unit": round(total / num_units, 2),
        "per_sample": round(total / num_units / unit_size, 2),
        "per_unit_by_table": {
            table: round(rows / num_units, 2) for table, rows in added.items() if rows
        },
    }


def _settled_rows(database: Path) -> dict[str, int]:
    """Rows of every table, once nothing more comes."""
    rows = _rows(database)
    while True:
        time.sleep(QUIET_SECONDS)
        before, rows = rows, _rows(database)
        if rows == before:
            return rows


def _rows(database: Path) -> dict[str, int]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = [name for (name,) in named]
        return {
            table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
            for table in tables
        }


def _generate(settings: dict[str, Any], root: str) -> float:
    """Write the reports here, then paint them in the work pool; seconds of the latter."""
    from flows.generate import generate_dataset, write_report_shard
    from flows.plans import DatasetPlan
    from flows.work import ShardRef, lock_work
    from tasks.planning import plan_samples

    plan = DatasetPlan.model_validate(settings)
    work = lock_work(plan, root)
    plan_samples(work.dataset, work.lineage(), work.drawing())
    units = tuple(range(len(work.units)))
    write_report_shard(ShardRef(root=root, dataset=plan.name, number=0, units=units))
    began = time.perf_counter()
    release = generate_dataset(plan, root)
    assert release.complete
    return time.perf_counter() - began


def _plan(name: str, num_units: int, unit_size: int, unit_seconds: float) -> dict[str, Any]:
    return {
        "name": name,
        "target": {"all": num_units * unit_size},
        "unit_size": unit_size,
        "entities": {"kind": "built-in"},
        "sampling": {"clinical_per_report": 3, "anatomy_per_report": 1, "max_uses": 10_000},
        "writer": {"kind": "grammar"},
        "painter": {"kind": "sleeping", "unit_seconds": unit_seconds},
        "image_rules": {"gates": [{"kind": "technical"}]},
        "execution": {"dispatch": "work-pool", "shard_units": 10_000},
    }


if __name__ == "__main__":
    main()
