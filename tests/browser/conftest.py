"""Fixtures of this room: one release, made once, a client on it, and a real browser."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser

from browser.settings import Settings
from tests.browser.chromium import chromium
from tests.browser.released import client_of, make_root


@pytest.fixture(scope="package")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_root(str(tmp_path_factory.mktemp("root")))


@pytest.fixture(scope="package")
def client(settings: Settings) -> Iterator[TestClient]:
    with client_of(settings) as found:
        yield found


@pytest.fixture(scope="module")  # no longer: while it is open, this thread can run no other loop
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found
