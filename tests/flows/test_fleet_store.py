"""Shards in a work pool on an S3 store that is busy, slow, or loses connections for a while."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows.generate import generate_dataset
from storage.layout import DatasetLayout, Table
from storage.objects import open_store
from storage.releases import open_release, open_table
from tests.flows.conftest import tiny_plan
from tests.flows.fleet import Fleet, prefect_server, process_worker, processes_with
from tests.storage.flaky_s3 import Fate, FlakyServer, answered, flaky, seeded
from tests.storage.seaweed import BUCKET, seaweedfs, use_server

pytestmark = [pytest.mark.s3, pytest.mark.server, pytest.mark.timeout(900)]

ROOT = f"s3://{BUCKET}/fleet"
LAYOUT = DatasetLayout("tiny")


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlakyServer]:
    """What stands before the store, for this process and all that it starts."""
    with (
        seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server,
        flaky(server.endpoint) as standing,
        pytest.MonkeyPatch.context() as patch,
    ):
        use_server(patch, server, standing.endpoint)
        yield standing


@pytest.fixture(scope="module")
def fleet(between: FlakyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with prefect_server(tmp_path_factory.mktemp("fleet")) as fleet:
        fleet.deploy()
        with process_worker(fleet):
            try:
                yield fleet
            finally:
                for pid in processes_with("PREFECT_API_URL", fleet.url):
                    if pid != os.getpid():
                        os.kill(pid, signal.SIGKILL)


def _identities(root: str) -> set[tuple[str, str]]:
    store = open_store(root)
    pairs = open_table(store, open_release(store, LAYOUT), Table.PAIRS)
    rows = pairs.to_table(columns=["sample_id", "sha256"]).to_pylist()
    assert len(rows) == 24
    return {(row["sample_id"], row["sha256"]) for row in rows}


def test_dataset_of_a_pool_on_a_failing_store_equals_an_undisturbed_one(
    fleet: Fleet, between: FlakyServer, tmp_path: Path
) -> None:
    generate_dataset(tiny_plan(), str(tmp_path))
    between.fate = seeded(5, 0.1)
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(tiny_plan().model_dump(mode="json")))
    words = ("generate", str(plan), "--root", ROOT, "--dispatch", "work-pool", "--json")
    command = fleet.command(*words)
    said = command.communicate(timeout=400)
    between.fate = answered
    assert command.returncode == 0, said
    assert {Fate.BUSY, Fate.SLOW, Fate.CUT, Fate.LOST} <= set(between.fates)
    assert _identities(ROOT) == _identities(str(tmp_path))
