"""The fleet that is killed: a Prefect server, workers, a patrol, and who brings back what died."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.chaos.runs import POOLS, Runs
from deployments.children import Child
from deployments.initialise import initialise
from deployments.settings import api_address, fleet_settings
from deployments.up import server_command
from deployments.workers import patrol_command, places
from flows.cli import PREFECT_DEFAULTS
from tests.deployments.databases import PASSWORD
from tests.deployments.processes import free_ports, wait_until

_TRAINING = ("Pretrain on every release", "Evaluate every trained model")
_READY_SECONDS = 240.0
_SUPERVISE_SECONDS = 0.2


def shared_state(postgres_port: int, redis_port: int) -> dict[str, str]:
    """Settings of a server that loses nothing when it dies, as the compose file has them.

    With SQLite and events in memory, what follows an event of before the restart would wait
    15 minutes for it.
    """
    redis = f"redis://:{PASSWORD}@127.0.0.1:{redis_port}"
    server, events = "PREFECT_SERVER", "PREFECT_SERVER_EVENTS"
    return {
        f"{server}_DATABASE_CONNECTION_URL": (
            f"postgresql+asyncpg://prefect:{PASSWORD}@127.0.0.1:{postgres_port}/prefect"
        ),
        f"{events}_MESSAGING_BROKER": "prefect_redis.messaging",
        f"{events}_MESSAGING_CACHE": "prefect_redis.messaging",
        f"{events}_EXPIRED_BUCKET_BUFFER": "PT15M",
        f"{events}_CAUSAL_ORDERING": "prefect_redis.ordering",
        f"{server}_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        f"{server}_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
        f"{server}_DOCKET_URL": f"{redis}/1",
        "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": f"{redis}/0",
        "PREFECT_REDIS_MESSAGING_URL": f"{redis}/0",
    }


class Fleet:
    """A server with its database, a worker for every pool that the datasets need, and a patrol.

    Args:
        folder: Holds logs and state.
        root: That the deployments write to by default.
        python_path: What every process is told to know the painters.
        server_settings: Where the server keeps runs, events, leases and locks.
    """

    def __init__(
        self, folder: Path, root: str, python_path: str, server_settings: dict[str, str]
    ) -> None:
        (port,) = free_ports(1)
        self.url = api_address(port)
        self.folder = folder
        self._root = root
        self.runs = Runs(self.url)
        told = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
        told |= PREFECT_DEFAULTS | fleet_settings(folder / "prefect", port)
        told |= {"PREFECT_SERVER_UI_ENABLED": "false", "OMP_NUM_THREADS": "1"}
        told |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": python_path}
        self.environment: Mapping[str, str] = told
        self._server = Child(
            "server", server_command(port), told | server_settings, folder / "server.log"
        )
        workers = [
            Child(place.name, place.command(), told, folder / f"{place.name}.log")
            for place in places(())
            if place.pool in POOLS
        ]
        self._beside = [*workers, Child("patrol", patrol_command(), told, folder / "patrol.log")]
        self._limits = {place.pool: place.num_runs for place in places(()) if place.pool in POOLS}

    @contextmanager
    def running(self) -> Iterator[None]:
        """All of it, set up; whatever of it dies is started again at once."""
        ending = threading.Event()
        supervisor = threading.Thread(target=self._supervise, args=(ending,), daemon=True)
        self._server.start()
        try:
            wait_until(self.runs.answers, "Prefect's server", _READY_SECONDS)
            self._set_up()
            for child in self._beside:
                child.start()
            supervisor.start()
            yield
        finally:
            ending.set()
            if supervisor.is_alive():
                supervisor.join()
            for child in (*self._beside, self._server):
                child.ask_to_stop()
            for child in (*self._beside, self._server):
                child.wait()

    def command(self, words: list[str], log: Path) -> "subprocess.Popen[bytes]":
        """`cxr-factory`, speaking to this server."""
        cli = str(Path(sys.executable).parent / "cxr-factory")
        with log.open("wb") as output:
            return subprocess.Popen(
                [cli, *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _set_up(self) -> None:
        """As `cxr-factory init`; then releases train nothing, and pools take no more than fits."""
        with temporary_settings({PREFECT_API_URL: self.url}):
            initialise(self._root)
        # the documented short cut, since a worker's run takes 10 s of CPU to start without it;
        # the server's form knows the kinds of engines of this process, which lacks ours
        quick = DeploymentUpdate(
            job_variables={"command": f"{sys.executable} -m prefect.engine"},
            enforce_parameter_schema=False,
        )
        with SyncPrefectClient(self.url) as client:
            for deployment in client.read_deployments():
                client.update_deployment(deployment.id, quick)
            for name in _TRAINING:
                for automation in client.read_automations_by_name(name):
                    client.pause_automation(automation.id)
            for pool, limit in self._limits.items():
                client.request(
                    "PATCH",
                    "/work_pools/{name}",
                    path_params={"name": pool},
                    json={"concurrency_limit": limit},
                )

    def _supervise(self, ending: threading.Event) -> None:
        while not ending.wait(_SUPERVISE_SECONDS):
            for child in (self._server, *self._beside):
                if child.exit_status() is not None:
                    child.start()
