"""Which workers a machine runs: for every pool one on each GPU, or one on the CPU; its patrol."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from storage.errors import EngineUnavailable

GPU_POOLS = ("gpu-text", "gpu-image", "gpu-judge")
CPU_POOL = "cpu"
CPU_RUNS = 4  # datasets that wait for their shards take no more than a little memory each


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """One worker process.

    Attributes:
        name: Unique on this machine.
        pool: Work pool it serves.
        gpu: Device it alone sees, as CUDA names it; None for no restriction.
        num_runs: Flow runs at a time; an engine on a GPU shares it with no other run of its pool.
    """

    name: str
    pool: str
    gpu: str | None
    num_runs: int

    def command(self) -> list[str]:
        """What starts it."""
        return [
            *(sys.executable, "-m", "prefect", "worker", "start", "--type", "process"),
            *("--pool", self.pool, "--name", self.name, "--limit", str(self.num_runs)),
            "--no-create-pool-if-not-found",
        ]

    def environment(self) -> dict[str, str]:
        """What it is told beside what all are told."""
        return {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}


def places(gpus: Sequence[str]) -> list[WorkerPlace]:
    """The workers for these GPUs; without any, one worker for each pool on the CPU."""
    on_gpus = [WorkerPlace(f"{pool}-{gpu}", pool, gpu, 1) for gpu in gpus for pool in GPU_POOLS]
    on_cpu = [WorkerPlace(pool, pool, None, 1) for pool in GPU_POOLS]
    return [*(on_gpus or on_cpu), WorkerPlace(CPU_POOL, CPU_POOL, None, CPU_RUNS)]


def patrol_command() -> list[str]:
    """What starts a patrol on the server that PREFECT_API_URL names."""
    return [sys.executable, "-m", "deployments.patrol"]


def visible_gpus() -> tuple[str, ...]:
    """GPUs that CUDA_VISIBLE_DEVICES names, else all that the driver lists.

    Raises:
        EngineUnavailable: If there is a driver that cannot list them.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(gpu for gpu in named.replace(" ", "").split(",") if gpu not in ("", "-1"))
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=index", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
    if listed.returncode != 0:
        raise EngineUnavailable(
            f"expected nvidia-smi to list the GPUs, got: {' '.join(listed.stdout.split())}; mend "
            "the driver, or set CUDA_VISIBLE_DEVICES to nothing to work on the CPU"
        )
    return tuple(listed.stdout.split())
