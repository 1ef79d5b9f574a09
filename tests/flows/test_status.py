"""What `cxr-factory status` says of pace, places and what runs at the moment."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task

from flows.generate import generate_dataset
from flows.status import dataset_status
from flows.summary import status_text
from flows.work import open_work
from storage.records import Stage
from tasks.running import running_units
from tests.flows.conftest import tiny_plan


def test_status_of_a_made_dataset_has_pace_places_and_nothing_running(tmp_path: Path) -> None:
    generate_dataset(tiny_plan(), str(tmp_path))
    status = dataset_status(open_work(str(tmp_path), "tiny"))
    painted = status.stages[Stage.PAINT]
    assert (painted.missing, painted.eta_seconds, painted.running) == (0, 0.0, 0)
    assert sum(pace.num_units for pace in painted.workers.values()) == painted.done
    shown = status.as_dict()["stages"]["paint"]
    assert shown["samples"] == 4 * painted.done
    assert shown["samples_per_second"] == pytest.approx(painted.pace.samples_per_second, abs=1e-3)
    assert f"{painted.done} units done, 0 failed, 0 missing;" in status_text(status)


def test_running_units_are_those_of_this_root(tmp_path: Path) -> None:
    @task(task_run_name="paint unit {number}")
    def paint(number: int) -> dict[Stage, int] | None:
        """Ask until the server has heard of this very run."""
        deadline = time.monotonic() + 60
        while not (found := running_units("here", "mine")) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    @flow(flow_run_name="paint mine shard 0 round 1")
    def shard_run(shard: Mapping[str, Any]) -> dict[Stage, int] | None:
        found: dict[Stage, int] | None = paint(number=7)
        assert running_units("elsewhere", "mine") == {}
        return found

    assert shard_run({"root": "here", "dataset": "mine"}) == {Stage.PAINT: 1}


def test_running_units_without_a_server_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    assert running_units("here", "mine") is None
