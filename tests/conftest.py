"""Fixtures every room's tests share. The network is blocked except to loopback."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from pytest_socket import socket_allow_hosts

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in what a script begins in the background, and then in all that tests start: Prefect's
    # workers, which pass SIGTERM on as SIGINT, would never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("factory", derandomize=True, deadline=None)
settings.load_profile("factory")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with servers of their own first, then those of flows: each takes minutes.

    Small ones then fill up the end, where a long one would keep one process busy and the rest idle.
    """
    served = {item.path for item in items if any(item.iter_markers("server"))}

    def turn(item: pytest.Item) -> int:
        return 0 if item.path in served else 1 if item.path.parent.name == "flows" else 2

    items.sort(key=turn)  # stable: within a module nothing changes places


def pytest_runtest_setup() -> None:
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; a test that needs it skips, saying so, where it is absent."""
    folder = Path(os.environ.get("CXR_SHARED_DATA", "../shared/data")).resolve()
    if not (folder / "README.md").is_file():
        pytest.skip(f"real data absent: no README.md in {folder}; set CXR_SHARED_DATA")
    return folder
