"""Fixtures of this room: one release, made once, and a client on it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from browser.settings import Settings
from tests.browser.released import client_of, make_root


@pytest.fixture(scope="package")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_root(str(tmp_path_factory.mktemp("root")))


@pytest.fixture(scope="package")
def client(settings: Settings) -> Iterator[TestClient]:
    with client_of(settings) as found:
        yield found
