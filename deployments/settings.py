"""What every process of a fleet on one machine is told, in Prefect's own settings."""

import os
from pathlib import Path

HOST = "127.0.0.1"
HEARTBEAT_SECONDS = 30  # Prefect's least; the automations count on it
WORKER_QUERY_SECONDS = 2  # a local server bears it, and a shard starts sooner than after 10


def api_address(port: int) -> str:
    """Of the server's interface."""
    return f"http://{HOST}:{port}/api"


def state_folder(root: str) -> Path:
    """Where the server keeps its database and the fleet its logs: PREFECT_HOME, or beside the data.

    Args:
        root: Absolute folder, or s3://bucket/prefix, beside which nothing local can lie.
    """
    if home := os.environ.get("PREFECT_HOME"):
        return Path(home).expanduser().absolute()
    return Path.home() / ".prefect" if "://" in root else Path(root) / "prefect"


def fleet_settings(home: Path, port: int) -> dict[str, str]:
    """Environment of the server, the workers and what sets them up."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api_address(port),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "PREFECT_WORKER_QUERY_SECONDS": str(WORKER_QUERY_SECONDS),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",  # into their logs
    }
