"""A Prefect server for the flow tests, what it keeps, and plans small enough for them."""

import os
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_DATABASE_CONNECTION_URL
from prefect.testing.utilities import prefect_test_harness

from flows.plans import DatasetPlan


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    with prefect_test_harness(server_startup_timeout=120):
        # commands that a test starts report to the same server
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        yield
    del os.environ["PREFECT_API_URL"]


def all_that_prefect_keeps(until: str) -> str:
    """Every row of the server's database: runs, parameters, states, logs, events, artifacts.

    Args:
        until: What the server is waited for to hold, since it takes events in batches.
    """
    path = str(PREFECT_SERVER_DATABASE_CONNECTION_URL.value()).partition(":///")[2]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            kept = "\n".join(database.iterdump())
        if until in kept:
            return kept
        time.sleep(0.5)
    raise AssertionError(f"Prefect's server never held {until!r}")


def tiny_plan(**changes: Any) -> DatasetPlan:
    """24 pairs of 64 px from 32 candidates, in units of 4."""
    settings: dict[str, Any] = {
        "name": "tiny",
        "target": {"accepted": 24, "reserve": 8},
        "seed": 3,
        "unit_size": 4,
        "entities": {"kind": "built-in", "num_clinical": 20, "num_anatomy": 16},
        "sampling": {
            "clinical_per_report": 3,
            "anatomy_per_report": 2,
            "max_uses": 32,
            "max_present_per_report": 2,
            "normal_share": 0.25,
        },
        "splits": {"train": 0.8, "validation": 0.2},
        "writer": {"kind": "grammar"},
        "painter": {"kind": "phantom", "image_size_px": 64},
        "execution": {"shard_units": 8, "num_processes": 1, "retry_delay_seconds": 0.0},
    }
    return DatasetPlan.model_validate(settings | changes)
