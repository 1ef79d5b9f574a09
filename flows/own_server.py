"""The Prefect server that a command starts for itself, where PREFECT_API_URL names none.

Prefect starts it as a child in our process group, so that Ctrl-C, or a signal to the whole group,
ends the server before the run could tell it how it ended, and the run then asks a dead server for
minutes. Here it has a session of its own, and a guard (`models/server_guard.py`) that ends it when
we end, however that is.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import prefect
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, get_current_settings

# As Prefect marks a temporary server, so that it serves no page and runs no service of a fleet.
_TEMPORARY = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}


def ensure_server() -> None:
    """Start a server of our own unless one is named; Prefect's clients look for it in its place."""
    if not PREFECT_API_URL.value():
        _GuardedServer().start()


class _Guard(subprocess.Popen[bytes]):
    """The guard's process; it ends the server, and itself, when its input is closed."""

    def terminate(self) -> None:
        assert self.stdin is not None, "its input is a pipe"
        self.stdin.close()


class _GuardedServer(SubprocessASGIServer):
    """Prefect's temporary server, of which a process has one, started in another way."""

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        server = [
            *(sys.executable, "-m", "uvicorn", "--factory"),
            *("--app-dir", str(Path(prefect.__file__).parent)),
            "prefect.server.api.server:create_app",
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--log-level", "error", "--lifespan", "on"),
        ]
        return _Guard(
            [sys.executable, "-m", "models.server_guard", *server],
            stdin=subprocess.PIPE,
            env=os.environ
            | _TEMPORARY
            | get_current_settings().to_environment_variables(exclude_unset=True),
            start_new_session=True,
        )
