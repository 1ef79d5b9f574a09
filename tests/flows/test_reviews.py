"""What people decided changes what is trained on, once a release names it."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import models.vlp.training_pairs
from flows.export import ExportPlan, parse_reviews
from flows.generate import generate_dataset
from flows.plan_files import parse_plan
from flows.pretrain import pretrain
from flows.release import release_dataset
from flows.training_plans import PretrainPlan
from models.vlp.data import PairTexts, read_texts
from storage.errors import PlanMismatch
from storage.layout import DatasetLayout, Table
from storage.objects import open_store
from storage.records import NOT_FOR_CLINICAL_USE, EntityStatus, Split
from storage.releases import Release, open_release, open_table
from storage.review_records import ReviewDecision
from storage.reviews import append_reviews, latest_reviews, review_table
from storage.slices import EntityFilter, Slice, SliceFilter, save_slice
from storage.table_schemas import Lineage
from tests.flows.conftest import tiny_plan
from tests.flows.test_training import TRAINING
from tests.storage.made import decided

CLI = Path(sys.executable).with_name("cxr-factory")
LAYOUT = DatasetLayout("tiny")
_KEEP, _REJECT = ReviewDecision.KEEP, ReviewDecision.REJECT


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("factory"))
    generate_dataset(tiny_plan(), folder)
    return folder


def _plan(name: str, **changes: Any) -> PretrainPlan:
    model = TRAINING["model"] | {"training": {"steps": 1, "batch_size": 8, "device": "cpu"}}  # type: ignore[operator]
    return PretrainPlan.model_validate(TRAINING | {"name": name, "model": model} | changes)


def _pairs(root: str, release: Release) -> list[dict[str, Any]]:
    pairs = open_table(open_store(root), release, Table.PAIRS)
    columns = ["sample_id", "index", "split", "entities_found"]
    rows: list[dict[str, Any]] = pairs.to_table(columns=columns).to_pylist()
    return sorted(rows, key=lambda row: row["index"])


def _decide(root: str, release: Release, said: dict[str, ReviewDecision]) -> None:
    lineage = Lineage(release.dataset, release.fingerprint, release.restricted)
    table = review_table(open_store(root), LAYOUT, lineage)
    append_reviews(table, [decided(sample, "ann", decision) for sample, decision in said.items()])


def _release(root: str, dataset: str) -> subprocess.CompletedProcess[str]:
    command = [CLI, "release", dataset, "--root", root, "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_pretrain_takes_exactly_what_reviewers_and_slice_leave(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[str] = []

    def watched(*given: Any) -> PairTexts:
        texts = read_texts(*given)
        trained_on[:] = texts.sample_ids
        return texts

    monkeypatch.setattr(models.vlp.training_pairs, "read_texts", watched)
    first = open_release(open_store(root), LAYOUT)
    rows = _pairs(root, first)
    train = [row["sample_id"] for row in rows if row["split"] == Split.TRAIN]
    rejected, kept = train[1::4], train[::4]
    _decide(root, first, dict.fromkeys(rejected, _REJECT) | dict.fromkeys(kept, _KEEP))

    not_rejected = {"reviews": {"take": "not-rejected"}}
    pretrain(_plan("before", **not_rejected), root)
    assert trained_on == train, "a release knows nothing of later decisions"

    ran = _release(root, "tiny")
    assert ran.returncode == 0, ran.stderr
    released = json.loads(ran.stdout)
    assert (released["number"], released["notice"]) == (2, NOT_FOR_CLINICAL_USE)
    assert asdict(release_dataset("tiny", root)) == released

    run = pretrain(_plan("after", **not_rejected), root)
    assert trained_on == [sample for sample in train if sample not in rejected]
    choice = json.loads(run.metrics["provenance"]["choice"])
    assert choice["reviews_version"] == released["versions"]["reviews"]
    assert choice["reviews"]["take"] == "not-rejected"
    assert run.metrics["num_samples_chosen"] == len(rows) - len(rejected)

    pretrain(_plan("kept", reviews={"take": "kept"}), root)
    assert trained_on == kept
    entity = next(
        found["text"]
        for row in rows
        for found in row["entities_found"]
        if found["status"] == EntityStatus.PRESENT and row["sample_id"] in kept
    )
    wanted = SliceFilter(entities=(EntityFilter(text=entity, status=EntityStatus.PRESENT),))
    save_slice(open_store(root), LAYOUT, "some", Slice(release=2, filter=wanted))
    run = pretrain(_plan("sliced", slice="some", **not_rejected), root)
    with_entity = {
        row["sample_id"]
        for row in rows
        if any(
            (found["text"], found["status"]) == (entity, EntityStatus.PRESENT)
            for found in row["entities_found"]
        )
    }
    expected = [one for one in train if one in with_entity and one not in rejected]
    assert trained_on == expected
    assert 0 < len(expected) < len(train) - len(rejected), "or this test says nothing"
    assert json.loads(run.metrics["provenance"]["choice"])["slice"]["name"] == "some"

    with pytest.raises(ValueError, match="is of 2, got release 1; name release 2"):
        pretrain(_plan("older", slice="some", release=1), root)
    with pytest.raises(PlanMismatch, match="choice"):
        pretrain(_plan("after", reviews={"take": "kept"}), root)


def test_pretrain_of_kept_pairs_where_nobody_kept_any_says_what_to_run(root: str) -> None:
    with pytest.raises(ValueError, match=r"got none; .* run cxr-factory release tiny"):
        pretrain(_plan("none", release=1, reviews={"take": "kept"}), root)


def test_export_command_takes_what_slice_and_reviews_leave(root: str, tmp_path: Path) -> None:
    store = open_store(root)
    rows = _pairs(root, open_release(store, LAYOUT))
    said = {rows[0]["sample_id"]: _REJECT, rows[1]["sample_id"]: _KEEP}
    _decide(root, open_release(store, LAYOUT), said)
    release = release_dataset("tiny", root)
    name = f"first-{release.number}"
    save_slice(store, LAYOUT, name, Slice(release=release.number, filter=SliceFilter(max_unit=1)))
    last = {review.sample_id: review.decision for review in latest_reviews(store, LAYOUT)}
    in_slice = [row["sample_id"] for row in rows if row["index"] < 8]  # two units of four
    expected = {sample for sample in in_slice if last.get(sample) is not _REJECT}
    assert 0 < len(expected) < len(in_slice), "or this test says nothing"

    target = tmp_path / "out"
    command = [CLI, "export", "tiny", target, "--root", root, "--slice", name, "--json"]
    command += ["--format", "folder", "--reviews", "{take: not-rejected, min_reviewers: 1}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    exported = json.loads(ran.stdout)
    assert exported == json.loads((target / "export.json").read_text())
    assert {path.stem for path in target.rglob("*.png")} == expected
    assert sum(exported["num_pairs"].values()) == len(expected)
    assert json.loads(exported["choice"])["slice"]["name"] == name
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (again.returncode, again.stdout) == (1, "")
    assert f"target must be a new folder, {str(target)!r} exists" in again.stderr


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("nice", "reviews.take: Input should be 'all', 'not-rejected' or 'kept', got 'nice'"),
        ("{keep: 1}", "reviews.keep: no such field"),
        ("{", "--reviews: not YAML"),
    ],
)
def test_export_rule_that_is_none_is_one_line(typed: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        settings = {"dataset": "tiny", "target": "/t", "reviews": parse_reviews(typed)}
        parse_plan(settings, ExportPlan, source="export")


def test_release_of_a_dataset_without_one_is_one_line(root: str) -> None:
    ran = _release(root, "absent")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("cxr-factory: no release of dataset 'absent'")
