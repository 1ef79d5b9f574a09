import hashlib
from collections.abc import Iterator
from pathlib import Path

import lance
import pytest

from flows.generate import generate_dataset, retry_failed_units
from flows.plans import DatasetPlan
from flows.status import dataset_status
from flows.work import lock_work, open_work
from models.engines import Placement
from models.painters.configs import PhantomConfig
from storage.busy import exclusive_run
from storage.errors import DatasetBusy, EngineFailed, PlanMismatch, StoreFull
from storage.layout import Table
from storage.objects import LocalStore
from storage.records import NOT_FOR_CLINICAL_USE, Stage
from storage.releases import open_release, open_table
from tests.flows.conftest import tiny_plan


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = str(tmp_path_factory.mktemp("factory"))
    generate_dataset(tiny_plan(), root)
    yield root


def _pairs(root: str, name: str = "tiny") -> lance.LanceDataset:
    work = open_work(root, name)
    store, layout = work.dataset.store, work.dataset.layout
    return open_table(store, open_release(store, layout), Table.PAIRS)


def _identities(root: str, name: str = "tiny") -> set[tuple[str, str]]:
    rows = _pairs(root, name).to_table(columns=["sample_id", "sha256"]).to_pylist()
    return {(row["sample_id"], row["sha256"]) for row in rows}


def test_generate_releases_exactly_the_accepted_pairs(made: str) -> None:
    pairs = _pairs(made)
    assert pairs.count_rows() == 24
    rows = pairs.to_table(columns=["sample_id", "sha256", "index", "width_px"]).to_pylist()
    assert len({row["sample_id"] for row in rows}) == 24
    assert {row["width_px"] for row in rows} == {64}
    blobs = pairs.read_blobs("image", indices=list(range(24)), preserve_order=True)
    for row, (_, png) in zip(rows, blobs, strict=True):
        assert png
        assert hashlib.sha256(png).hexdigest() == row["sha256"]


def test_generate_data_are_marked_synthetic(made: str) -> None:
    assert _pairs(made).schema.metadata[b"notice"].decode() == NOT_FOR_CLINICAL_USE


def test_generate_again_gives_the_same_release(made: str) -> None:
    before = open_release(*_handles(made))
    assert generate_dataset(tiny_plan(), made) == before


def test_generate_changed_plan_under_the_same_name_is_refused(made: str) -> None:
    with pytest.raises(PlanMismatch, match=r"seed: was 3 / is 4"):
        generate_dataset(tiny_plan(seed=4), made)


def test_generate_other_batching_makes_the_same_pairs(made: str, tmp_path: Path) -> None:
    execution = {"shard_units": 2, "num_processes": 1, "max_batch_size": 3, "units_in_flight": 1}
    generate_dataset(tiny_plan(execution=execution), str(tmp_path))
    assert _identities(str(tmp_path)) == _identities(made)


def test_generate_while_another_run_holds_the_dataset_is_refused(made: str) -> None:
    store, layout = _handles(made)
    with exclusive_run(store, layout), pytest.raises(DatasetBusy, match="in use by process"):
        generate_dataset(tiny_plan(), made)


def test_generate_impossible_plan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    sampling = tiny_plan().sampling.model_copy(update={"max_uses": 1})
    with pytest.raises(ValueError, match="max_uses"):
        generate_dataset(tiny_plan(sampling=sampling), str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_generate_engine_broken_releases_nothing_and_retry_completes(
    tmp_path: Path, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mocked: a painter whose every batch fails, as after a GPU fault."""
    root = str(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(PhantomConfig, "open", lambda self: _BrokenPainter())
        broken.setattr(PhantomConfig, "placement", Placement.IN_PROCESS)
        with pytest.raises(EngineFailed, match=r"units are not settled.*cxr-factory retry tiny"):
            generate_dataset(tiny_plan(), root)
    work = open_work(root, "tiny")
    status = dataset_status(work)
    assert status.release is None
    assert status.stages[Stage.WRITE].missing == 0
    assert status.stages[Stage.PAINT].failed == status.stages[Stage.PAINT].missing == 6
    retry_failed_units("tiny", root)
    assert _identities(root) == _identities(made)
    assert all(not status.missing for status in dataset_status(work).stages.values())


def test_generate_full_disk_ends_at_once_and_goes_on_when_there_is_room(
    tmp_path: Path, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mocked: a disk that takes no image unit, as when it is full."""
    root, refused = str(tmp_path), []

    def put(store: LocalStore, key: str, data: bytes) -> None:
        if f"/staging/{Stage.PAINT}/" in key:
            refused.append(key)
            raise StoreFull(f"{key}: the disk is full")
        real_put(store, key, data)

    real_put = LocalStore.put
    with monkeypatch.context() as full:
        full.setattr(LocalStore, "put", put)
        with pytest.raises(StoreFull):
            generate_dataset(tiny_plan(execution={"num_processes": 1, "units_in_flight": 1}), root)
    assert len(refused) == 1, "neither a retry nor another unit is tried on a full disk"
    generate_dataset(tiny_plan(), root)
    assert _identities(root) == _identities(made)


def test_generate_all_target_releases_what_is_accepted(tmp_path: Path) -> None:
    plan = tiny_plan(name="every", target={"all": 8})
    release = generate_dataset(plan, str(tmp_path))
    assert release.complete
    assert release.target is None
    assert 0 < release.num_accepted <= 8


def test_generate_too_few_accepted_is_released_as_incomplete(tmp_path: Path) -> None:
    """Every image is a near-duplicate when all 256 bits may differ."""
    rules = {"near_duplicate_max_distance": 64, "gates": [{"kind": "technical"}]}
    plan = tiny_plan(name="short", target={"accepted": 8, "reserve": 0}, image_rules=rules)
    release = generate_dataset(plan, str(tmp_path))
    status = dataset_status(open_work(str(tmp_path), "short"))
    assert release.complete is status.complete
    assert release.num_accepted == status.accepted
    if not release.complete:
        assert status.rejected == {"near duplicate": 8 - release.num_accepted}


def test_lock_same_plan_other_root_has_the_same_fingerprint(tmp_path: Path, made: str) -> None:
    plan: DatasetPlan = tiny_plan()
    assert lock_work(plan, str(tmp_path)).fingerprint == lock_work(plan, made).fingerprint


def _handles(root: str) -> tuple:  # type: ignore[type-arg]
    dataset = open_work(root, "tiny").dataset
    return dataset.store, dataset.layout


class _BrokenPainter:
    max_batch_size = 4
    info = None

    def paint(self, requests: object) -> None:
        raise RuntimeError("Xid 79: GPU has fallen off the bus")

    def close(self) -> None:
        return
