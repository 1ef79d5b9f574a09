"""One run on several processes of this host: torchrun starts them, and a guard ends them all.

They end with the process that asked for them, however that ends (`models/server_guard.py`).
"""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.vlp.ranks import Ranks
from storage.errors import FactoryError

WORK_FILE, FAILURE_FILE = "work", "failure"
_POLL_SECONDS = 0.2
_STOP_TIMEOUT_SECONDS = 60.0  # the guard itself kills after 20


@dataclass(frozen=True, slots=True)
class Work:
    """What each process is to do, and on which kind of device; crosses by pickle."""

    share: Callable[[Ranks], None]
    device: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as data: those of libraries do not all pickle."""

    error: type[Exception]
    message: str


def run_together(share: Callable[[Ranks], None], device: str, num_processes: int) -> None:
    """Have as many processes do their share each, until all have.

    Args:
        share: What to do, as the process it is given; must pickle.
        device: Of the plan.
        num_processes: To start.

    Raises:
        ValueError: As the first process to fail raised it; so are errors of this project.
        FactoryError: If a process died, or raised anything else.
    """
    with tempfile.TemporaryDirectory(prefix="cxr-ranks-") as name:
        folder = Path(name)
        (folder / WORK_FILE).write_bytes(pickle.dumps(Work(share, device)))
        command = [
            *(sys.executable, "-m", "models.server_guard"),
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(num_processes), "--log-dir", name),
            *("--module", "models.vlp.torchrun_child", name),
        ]
        guard = subprocess.Popen(command, stdin=subprocess.PIPE, env=_environment(num_processes))
        try:
            _wait_for(guard)
        finally:
            _end(guard)
        if guard.returncode:
            raise _failure_in(folder, guard.returncode)


def _wait_for(guard: "subprocess.Popen[bytes]") -> None:
    """In short turns, so that a cancelled flow is ended amid them."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            guard.wait(_POLL_SECONDS)
            return


def _end(guard: "subprocess.Popen[bytes]") -> None:
    assert guard.stdin is not None
    guard.stdin.close()  # which ends all that still runs
    try:
        guard.wait(_STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()


def _environment(num_processes: int) -> dict[str, str]:
    """As ours, with the cores shared out: each process would take them all."""
    threads = max(1, (os.cpu_count() or 1) // num_processes)
    return {"OMP_NUM_THREADS": str(threads)} | dict(os.environ)


def _failure_in(folder: Path, status: int) -> Exception:
    """What the first process to fail said, as the exception it would have been here."""
    if not (folder / FAILURE_FILE).is_file():
        return FactoryError(
            f"all processes of a run must stay alive, one died (torchrun ended with {status}); "
            "see its output above; run again to go on from the last checkpoint"
        )
    failure: Failure = pickle.loads((folder / FAILURE_FILE).read_bytes())
    if issubclass(failure.error, FactoryError | ValueError):
        return failure.error(failure.message)
    return FactoryError(f"a process of the run failed: {failure.error.__name__}: {failure.message}")
