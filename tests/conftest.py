"""Fixtures every room's tests share. The network is blocked except to loopback."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from pytest_socket import socket_allow_hosts

settings.register_profile("factory", derandomize=True, deadline=None)
settings.load_profile("factory")


def pytest_runtest_setup() -> None:
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; a test that needs it skips, saying so, where it is absent."""
    folder = Path(os.environ.get("CXR_SHARED_DATA", "../shared/data")).resolve()
    if not (folder / "README.md").is_file():
        pytest.skip(f"real data absent: no README.md in {folder}; set CXR_SHARED_DATA")
    return folder
