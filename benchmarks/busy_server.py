"""What a busy Prefect server on SQLite loses: Prefect's own, and that of `cxr-factory up`.

    python -m benchmarks.busy_server [--server plain] [--units 60]

A real server with the factory's automations, and what eight workers ask of it: flow runs side by
side in this process, whose tasks follow each other without work in between, polls of work pools
every two seconds, signs of life of workers. A heartbeat follows every task, thirty times as often
as a run sends one at a second a unit: each is an event that automations must see. Prints one JSON
line:

- `heartbeats`, `stored`: sent, and found in Prefect's database;
- `unseen`: events that automations gave up on (Prefect's dead letter queue);
- `locked`: errors "database is locked" in the server's log;
- `refused`: signs of life of workers that the server answered with an error, of `signs`;
- `tasks_per_second`: of the flow runs, first to last;
- `ended`: flow runs that ended well, of the workers'.
"""

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deployments.children import Child
from deployments.settings import HOST, fleet_settings
from deployments.up import server_command
from tests.deployments.processes import free_ports, wait_until

POOL = "gpu-image"
HEARTBEAT = "prefect.flow-run.heartbeat"
READY_SECONDS = 300.0
SETTLE_SECONDS = 90.0  # at most, for the server to store what it was sent
POLL_SECONDS, SIGN_SECONDS = 2.0, 5.0  # of each worker


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=["factory", "plain"], default="factory")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--units", type=int, default=60, help="of every worker")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, _server(Path(scratch), options.server) as log:
        load = os.getloadavg()[0]
        figures = _measure(options.workers, options.units)
        home = Path(scratch) / "prefect"
        line = {
            "benchmark": "busy_server",
            "server": options.server,
            "workers": options.workers,
            "units": options.units,
            **figures,
            "stored": _stored(home / "prefect.db", options.workers * options.units),
            "unseen": len([*home.glob("dlq/*")]),
            "locked": log.read_text(errors="replace").count("OperationalError: database is locked"),
            "load_at_start": round(load, 2),
            "python": platform.python_version(),
            "cores": len(os.sched_getaffinity(0)),
        }
    sys.stdout.write(json.dumps(line) + "\n")


@contextmanager
def _server(scratch: Path, kind: str) -> Iterator[Path]:
    """A server with pools, deployments and automations; gives its log."""
    from flows.cli import PREFECT_DEFAULTS

    (port,) = free_ports(1)
    home = scratch / "prefect"
    # before Prefect is imported, which reads them once
    os.environ.update(PREFECT_DEFAULTS | fleet_settings(home, port))
    os.environ.update(PREFECT_LOGGING_LEVEL="WARNING", OMP_NUM_THREADS="1")
    plain = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST]
    command = server_command(port) if kind == "factory" else [*plain, "--port", str(port)]
    server = Child("server", command, os.environ, home / "logs" / "server.log")
    try:
        server.start()
        _set_up(scratch)
        yield server.log
    finally:
        server.ask_to_stop()
        server.wait()


def _set_up(scratch: Path) -> None:
    from prefect.client.orchestration import get_client

    from deployments.initialise import initialise

    with get_client(sync_client=True) as client:
        wait_until(lambda: client.api_healthcheck() is None, "the server", READY_SECONDS)
    initialise(str(scratch))


def _measure(num_workers: int, num_units: int) -> dict[str, float]:
    """Let all work at once, until the last has ended."""
    from prefect.events.worker import EventsWorker

    ended, signs, done = threading.Event(), Counter[str](), list[int]()
    asking = threading.Thread(target=_ask, args=(num_workers, ended, signs))
    working = [threading.Thread(target=_work, args=(num_units, done)) for _ in range(num_workers)]
    began = time.perf_counter()
    for thread in (asking, *working):
        thread.start()
    for thread in working:
        thread.join()
    seconds = time.perf_counter() - began
    ended.set()
    asking.join()
    EventsWorker.instance().wait_until_empty()
    num_tasks = num_workers * num_units
    return {
        "heartbeats": num_tasks,
        "tasks_per_second": round(num_tasks / seconds, 1),
        "ended": len(done),
        "signs": signs.total(),
        "refused": signs["refused"],
    }


def _work(num_units: int, done: list[int]) -> None:
    """A flow run, as a shard's is to the server."""
    from prefect import flow, task
    from prefect.events import emit_event
    from prefect.runtime import flow_run

    @task
    def unit(number: int) -> int:
        return number

    @flow
    def shard() -> None:
        resource = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}"}
        for number in range(num_units):
            unit(number)
            emit_event(HEARTBEAT, resource)

    shard()
    done.append(num_units)


def _ask(num_workers: int, ended: threading.Event, signs: Counter[str]) -> None:
    """What workers send beside their runs; a sign of life is sent once, as by their channel."""
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    last_sign = time.monotonic()
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(sync_client=True) as client,
    ):
        while not ended.wait(POLL_SECONDS / num_workers):
            with suppress(HTTPError):  # a worker polls again
                client.get_scheduled_flow_runs_for_work_pool(POOL)
            if time.monotonic() - last_sign < SIGN_SECONDS / num_workers:
                continue
            last_sign = time.monotonic()
            try:
                client.send_worker_heartbeat(POOL, f"worker-{signs.total() % num_workers}", 30)
                signs["taken"] += 1
            except HTTPError:
                signs["refused"] += 1


def _stored(database: Path, num_sent: int) -> int:
    """Heartbeats in the database, once all are there or no more come."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (found := _count(database)) < num_sent and time.monotonic() < deadline:
        time.sleep(1)
    return found


def _count(database: Path) -> int:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        asked = "SELECT count(*) FROM events WHERE event = ?"
        (found,) = connection.execute(asked, [HEARTBEAT]).fetchone()
        return int(found)


if __name__ == "__main__":
    main()
