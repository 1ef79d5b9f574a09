"""A dataset on S3 through failing networks, servers that go away, and SIGKILL: the same pairs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from flows.generate import generate_dataset
from flows.pretrain import pretrain
from flows.training_plans import PretrainPlan
from flows.work import open_work
from models.vlp.training_log import LOG_FILE
from storage.errors import FactoryError
from storage.garbage import PUBLISHED_TABLES, collect_dataset, collect_table
from storage.layout import DatasetLayout, Table
from storage.objects import open_store
from storage.releases import open_release, open_table
from tests.flows.conftest import tiny_plan
from tests.flows.test_training import TRAINING
from tests.storage.flaky_s3 import Fate, FlakyServer, Request, answered, flaky, seeded
from tests.storage.seaweed import BUCKET, S3Server, seaweedfs, use_server

LAYOUT = DatasetLayout("tiny")
TRAINING_FILE = "training.safetensors"
pytestmark = [pytest.mark.s3, pytest.mark.server]
Identities = set[tuple[str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running


@pytest.fixture
def between(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyServer]:
    """What stands before the server; nothing goes wrong until a test says so."""
    with flaky(server.endpoint) as standing:
        use_server(monkeypatch, server, standing.endpoint)
        yield standing


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    """The pairs as a folder on this machine has them."""
    root = str(tmp_path_factory.mktemp("factory"))
    generate_dataset(tiny_plan(), root)
    return _identities(root)


def _identities(root: str) -> Identities:
    store = open_store(root)
    pairs = open_table(store, open_release(store, LAYOUT), Table.PAIRS)
    rows = pairs.to_table(columns=["sample_id", "sha256"]).to_pylist()
    assert len(rows) == 24
    return {(row["sample_id"], row["sha256"]) for row in rows}


def _assert_nothing_is_left_over(root: str) -> None:
    """After one collection another finds nothing, and only surplus is still staged."""
    work = open_work(root, "tiny")
    store, selection = work.dataset.store, work.selection()
    collect_dataset(store, LAYOUT, work.dataset.ledger, selection)
    again = [collect_table(store, LAYOUT.table(table)) for table in PUBLISHED_TABLES]
    assert sum(collected.num_files for collected in again) == 0
    for stage in work.stages:
        staged = {info.key for info in store.list(LAYOUT.staging_folder(stage))}
        records = work.dataset.ledger.settled(stage)
        surplus = {record.file for unit, record in records.items()
                   if unit in selection.surplus_units}  # fmt: skip
        assert staged == surplus


def test_dataset_made_through_a_failing_network_equals_an_undisturbed_one(
    between: FlakyServer, undisturbed: Identities
) -> None:
    root = f"s3://{BUCKET}/faults"
    between.fate = seeded(11, 0.15)
    generate_dataset(tiny_plan(), root)
    between.fate = answered
    assert {Fate.BUSY, Fate.SLOW, Fate.CUT, Fate.LOST} <= set(between.fates)
    assert _identities(root) == undisturbed
    _assert_nothing_is_left_over(root)
    between.requests.clear()
    generate_dataset(tiny_plan(), root)  # again: what is complete is read, and nothing written
    assert {
        what for what in between.requests if what.split()[0] not in ("GET", "HEAD", "LIST")
    } == {"PUT plan.lock.json"}


def test_answers_lost_to_every_other_conditional_put_double_nothing(
    between: FlakyServer, undisturbed: Identities
) -> None:
    """Ledger records, table manifests and releases are put; half of the answers never come."""
    root = f"s3://{BUCKET}/lost"
    seen: list[Request] = []

    def every_other(request: Request) -> Fate:
        if not request.conditional:
            return Fate.ANSWERED
        seen.append(request)
        return Fate.LOST if len(seen) % 2 else Fate.ANSWERED

    between.fate = every_other
    release = generate_dataset(tiny_plan(), root)
    between.fate = answered
    assert release.number == 1
    assert {"PUT ledger", "PUT pairs.lance/_versions", "PUT releases"} <= {
        request.what for request in seen
    }
    assert _identities(root) == undisturbed
    _assert_nothing_is_left_over(root)


def test_server_away_for_a_while_is_waited_for(
    between: FlakyServer, undisturbed: Identities
) -> None:
    root = f"s3://{BUCKET}/away"
    between.fate = _away_after("PUT ledger", 6, seconds=3.0)
    generate_dataset(tiny_plan(), root)
    assert between.fates[Fate.CUT]
    assert _identities(root) == undisturbed


@pytest.mark.parametrize(("moment", "count"), [("PUT ledger", 6), ("PUT pairs.lance/data", 1)])
def test_server_away_for_good_fails_clearly_and_the_same_run_goes_on(
    moment: str,
    count: int,
    between: FlakyServer,
    undisturbed: Identities,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storage.s3._PATIENT_DELAYS_SECONDS", (0.05,))
    monkeypatch.setattr("storage.ledger.RETRY_DELAYS_SECONDS", (0.05,))
    monkeypatch.setattr("storage.publisher._UNCLEAR_DELAYS_SECONDS", (0.05,))
    monkeypatch.setattr(
        "storage.s3_access._LANCE_PATIENCE",
        {"client_max_retries": "1", "client_retry_timeout": "1"},
    )
    root = f"s3://{BUCKET}/gone-{moment.split()[1].replace('/', '-')}"
    between.fate = _away_after(moment, count, seconds=600.0)
    with pytest.raises(FactoryError, match=r"s3://.*clear answer"):
        generate_dataset(tiny_plan(), root)
    between.fate = answered
    generate_dataset(tiny_plan(), root)
    assert _identities(root) == undisturbed
    _assert_nothing_is_left_over(root)


def _away_after(what: str, count: int, *, seconds: float) -> Callable[[Request], Fate]:
    """From the so-manieth request of a kind on, every connection is cut for a while."""
    seen: list[float] = []

    def fate(request: Request) -> Fate:
        if request.what == what and len(seen) < count:
            seen.append(time.monotonic())
        away = len(seen) == count and time.monotonic() < seen[-1] + seconds
        return Fate.CUT if away else Fate.ANSWERED

    return fate


def _command(tmp_path: Path, *words: str) -> subprocess.Popen[bytes]:
    """The command in a process of its own, which puts a training back often."""
    program = "import storage.folders as folders; folders.KEEP_EVERY_SECONDS = 0.1\n"
    program += "from flows.cli import main; main()"
    scratch = tmp_path / "another-host"
    scratch.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(scratch)},
    )


def _kill_once(process: subprocess.Popen[bytes], is_time: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_time():
        assert process.poll() is None, process.communicate()[1].decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_generate_killed_and_run_again_equals_an_undisturbed_run(
    between: FlakyServer, undisturbed: Identities, tmp_path: Path
) -> None:
    root = f"s3://{BUCKET}/killed"
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(tiny_plan().model_dump(mode="json")))
    ledger = open_work_ledger(root)
    process = _command(tmp_path, "generate", str(plan), "--root", root)
    _kill_once(process, lambda: ledger() >= 9)
    assert ledger() < 16
    generate_dataset(tiny_plan(), root)
    assert _identities(root) == undisturbed
    _assert_nothing_is_left_over(root)


def open_work_ledger(root: str) -> Callable[[], int]:
    """How many units of both stages are settled."""
    store = open_store(root)
    return lambda: len(list(store.list(f"{LAYOUT.folder}/ledger/")))


def test_pretrain_killed_goes_on_from_its_checkpoint_on_another_host(
    between: FlakyServer, tmp_path: Path
) -> None:
    root = f"s3://{BUCKET}/trained"
    generate_dataset(tiny_plan(), root)
    training = TRAINING["model"]["training"] | {"steps": 60, "checkpoint_every_steps": 5}  # type: ignore[index]
    settings = TRAINING | {"model": TRAINING["model"] | {"training": training}}  # type: ignore[operator]
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(settings))
    store, run = open_store(root), "models/tiny-convirt-r1"
    process = _command(tmp_path, "pretrain", str(plan), "--root", root)
    _kill_once(process, lambda: store.exists(f"{run}/{TRAINING_FILE}"))
    assert not store.exists(f"{run}/model.safetensors")
    before = store.get(f"{run}/{LOG_FILE}").splitlines()
    pretrain(PretrainPlan.model_validate(settings), root)
    after = store.get(f"{run}/{LOG_FILE}").splitlines()
    assert len(after) == 60
    assert after[:5] == before[:5]  # their seconds too: they were not done again
    assert not store.exists(f"{run}/{TRAINING_FILE}")
