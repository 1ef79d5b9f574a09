"""A real fleet on loopback: a Prefect server, a work pool, a process worker, the deployments.

Nothing of it touches this process's own Prefect settings: runs are started by commands or by the
worker, and looked at through a client of its own.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, State

from flows.cli import PREFECT_DEFAULTS
from flows.generate import (
    generate_dataset,
    paint_image_shard,
    retry_failed_units,
    write_report_shard,
)
from flows.study_cells import study_cell

POOL = "any"
BIN = Path(sys.executable).parent
FLOWS: tuple[Flow[..., Any], ...] = (
    generate_dataset,
    retry_failed_units,
    write_report_shard,
    paint_image_shard,
    study_cell,
)
_READY_SECONDS = 120.0

FoundT = TypeVar("FoundT")


def wait_for(what: str, find: Callable[[], FoundT | None], seconds: float = 240.0) -> FoundT:
    """Ask again and again until there is an answer."""
    deadline = time.monotonic() + seconds
    while (found := find()) is None:
        assert time.monotonic() < deadline, f"{what} did not come in {seconds:g} s"
        time.sleep(0.1)
    return found


@dataclass(frozen=True)
class Fleet:
    """A server, and what speaks to it."""

    url: str
    folder: Path
    environment: Mapping[str, str]
    server: "Server"

    def deploy(self) -> None:
        """The pool, and a deployment of every flow in it, named as the flow."""
        with self.client() as client:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
            for flow in FLOWS:
                client.create_deployment(
                    client.create_flow_from_name(flow.name),
                    flow.name,
                    work_pool_name=POOL,
                    entrypoint=f"{flow.fn.__module__}.{flow.fn.__name__}",
                    # names the kinds of engines known when this process began, not a test's own
                    enforce_parameter_schema=False,
                    # the same engine without the process that prepares a folder of code for it
                    job_variables={"command": f"{sys.executable} -m prefect.engine"},
                )

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.url)

    def runs(self, flow_name: str, *states: str) -> list[FlowRun]:
        """Runs of a flow, oldest first; all, or those in a state of these names."""
        named = DeploymentFilter(name=DeploymentFilterName(any_=[flow_name]))
        with self.client() as client:
            found = client.read_flow_runs(deployment_filter=named)
        found.sort(key=lambda run: run.created)
        return [run for run in found if not states or (run.state and run.state.name in states)]

    def submit(self, flow_name: str, parameters: dict[str, Any]) -> FlowRun:
        """Start a flow as its form in the UI does."""
        with self.client() as client:
            deployment = client.read_deployment_by_name(f"{flow_name}/{flow_name}")
            return client.create_flow_run_from_deployment(deployment.id, parameters=parameters)

    def set_state(self, run: FlowRun, state: State[Any]) -> None:
        """What the UI's buttons do: Cancel, Retry."""
        with self.client() as client:
            client.set_flow_run_state(run.id, state, force=state.is_scheduled())

    def ended(self, run: FlowRun) -> State[Any]:
        """The state that a run ends in."""

        def final() -> State[Any] | None:
            with self.client() as client:
                state = client.read_flow_run(run.id).state
            return state if state is not None and state.is_final() else None

        return wait_for(f"the end of {run.name}", final)

    def limit(self, num_runs: int | None) -> None:
        """How many runs the pool takes at a time."""
        self._set_pool(concurrency_limit=num_runs)

    def pause(self) -> None:
        """What `prefect work-pool pause` does."""
        self._set_pool(is_paused=True)

    def resume(self) -> None:
        """What `prefect work-pool resume` does."""
        self._set_pool(is_paused=False)

    def _set_pool(self, **changes: Any) -> None:
        with self.client() as client:
            client.request("PATCH", "/work_pools/{name}", path_params={"name": POOL}, json=changes)

    def log_of(self, flow_name: str) -> str:
        """What the runs of a flow have logged, as the UI shows it."""
        with self.client() as client:
            named = FlowFilter(name=FlowFilterName(any_=[flow_name]))
            runs = [run.id for run in client.read_flow_runs(flow_filter=named)]
            wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=runs))
            return "\n".join(log.message for log in client.read_logs(wanted))

    def command(self, *words: str) -> "subprocess.Popen[str]":
        """`cxr-factory`, speaking to this server."""
        return self._start(str(BIN / "cxr-factory"), *words)

    def background_command(self, *words: str) -> "subprocess.Popen[str]":
        """The same as a script begins it in the background: with Ctrl-C's signal ignored."""
        ignoring = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
        return self._start(*ignoring, str(BIN / "cxr-factory"), *words)

    def _start(self, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@contextmanager
def prefect_server(folder: Path) -> Iterator[Fleet]:
    """A server with a database of its own, and no pools yet."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = (
        os.environ
        | PREFECT_DEFAULTS
        | {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": url,
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "OMP_NUM_THREADS": "1",
        }
    )
    environment.pop("PREFECT_SERVER_DATABASE_CONNECTION_URL", None)
    server = Server(url, port, environment, folder / "server.log")
    try:
        server.start()
        yield Fleet(url, folder, environment, server)
    finally:
        server.kill()


class Server:
    """A server that may be killed and started again on its port and database."""

    def __init__(self, url: str, port: int, environment: Mapping[str, str], log: Path) -> None:
        self._url, self._environment, self._log = url, environment, log
        self._command = [BIN / "prefect", "server", "start", "--host", "127.0.0.1"]
        self._command += ["--port", str(port)]
        self._running = ExitStack()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._running.enter_context(_running(self._command, self._environment, self._log))
        wait_for("Prefect's server", lambda: _answers(f"{self._url}/health"), _READY_SECONDS)

    def kill(self) -> None:
        """By SIGKILL."""
        self._running.close()


@contextmanager
def process_worker(fleet: Fleet, name: str = "worker") -> Iterator[int]:
    """A worker of the pool, once it is online; gives its process id."""
    worker = [BIN / "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    log = fleet.folder / f"{name}.log"
    with _running([*worker, "--name", name], fleet.environment, log) as pid:
        wait_for("the worker", lambda: _has_worker(fleet, name), _READY_SECONDS)
        yield pid


def processes_with(variable: str, value: str) -> dict[int, str]:
    """Process id and command of all that have a variable in their environment."""
    marked = f"{variable}={value}".encode()
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if marked in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if command:  # none: it has ended and was not waited for
                    found[int(folder.name)] = command
    return found


@contextmanager
def _running(command: list[Any], environment: Mapping[str, str], log: Path) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=log.parent,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process.pid
        finally:
            with suppress(ProcessLookupError):  # it ended, and was waited for
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(address: str) -> bool | None:
    with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
        return answer.status == 200 or None
    return None


def _has_worker(fleet: Fleet, name: str) -> bool | None:
    with fleet.client() as client:
        return any(one.name == name for one in client.read_workers_for_work_pool(POOL)) or None


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
