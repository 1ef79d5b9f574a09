"""Fixtures of this room: a store in a fresh folder, and a ledger on it that never sleeps."""

from pathlib import Path

import pytest

from storage.ledger import Ledger
from storage.objects import LocalStore
from tests.storage.made import LAYOUT


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "root"))


@pytest.fixture
def ledger(store: LocalStore) -> Ledger:
    return Ledger(store, LAYOUT, sleep=lambda _: None)
