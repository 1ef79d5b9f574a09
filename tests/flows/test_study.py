"""A small study: killed and gone on with, a cell that fails, another plan refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.demo import PLANS
from flows.plan_files import parse_plan
from flows.study import study
from flows.study_estimate import estimate
from flows.study_files import load_study
from flows.study_plans import StudyCorpus, StudyPlan
from flows.study_preparation import source_of
from flows.study_work import open_study, study_work
from storage.errors import PlanMismatch
from storage.layout import StudyLayout
from tests.flows.conftest import tiny_plan

PAINTER = {"kind": "phantom", "image_size_px": 64}
MODEL: dict[str, Any] = {
    "image_tower": {"image_size_px": 32, "width": 8},
    "text_tower": {"width": 16, "num_layers": 1, "num_heads": 2},
    "training": {"steps": 3, "batch_size": 8, "device": "cpu"},
}


def arm_of(name: str, **source: Any) -> dict[str, Any]:
    taken = {"kind": "release", "dataset": "tiny", **source}
    return {"name": name, "data": {"phases": [{"sources": [taken]}]}}


def study_settings(**changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "name": "tiny-study",
        "datasets": [tiny_plan().model_dump(mode="json")],
        "arms": [arm_of("all"), arm_of("few", max_pairs=10)],
        "algorithms": [{"name": "convirt", "model": MODEL}],
        "seeds": [0, 1],
        "evaluation": {
            "sets": [{"kind": "phantoms", "num_images": 30, "painter": PAINTER}],
            "zero_shot": {"num_resamples": 100},
        },
        "cannot_show": ["Three steps teach nothing."],
    }
    return settings | changes


def _plan(**changes: Any) -> StudyPlan:
    return parse_plan(study_settings(**changes), StudyPlan, "study.yaml")


def _files(root: Path, pattern: str) -> dict[str, int]:
    found = sorted((root / "studies/tiny-study").glob(pattern))
    return {path.name: path.stat().st_mtime_ns for path in found}


@pytest.fixture(scope="module")
def killed_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose study was killed once its first cell was finished."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(yaml.safe_dump(study_settings(datasets=["tiny.yaml"])))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_plan().model_dump(mode="json")))
    root = folder / "root"
    code = "import typer; from flows.study_commands import study; typer.run(study)"
    command = [sys.executable, "-c", code, str(folder / "study.yaml"), "--root", str(root)]
    process = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 500
    while not _files(root, "cells/*.json"):
        assert process.poll() is None, "the study ended before its first cell"
        assert time.monotonic() < deadline, "no cell in eight minutes"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return root


@pytest.mark.server
@pytest.mark.timeout(900)
def test_study_killed_and_run_again_trains_only_what_it_lacks(killed_root: Path) -> None:
    before = _files(killed_root, "cells/*.json")
    assert 1 <= len(before) < 4
    outcome = study(_plan(), str(killed_root))
    after = _files(killed_root, "cells/*.json")
    assert len(after) == 4
    assert before.items() <= after.items(), "what was finished is not run again"
    assert outcome.failed == ()
    assert [verdict.split(":")[0] for verdict in outcome.verdicts] == ["few"]
    report = (killed_root / "studies/tiny-study/report.md").read_text()
    assert "Three steps teach nothing" in report
    assert "zero_shot/phantoms" in report

    study(_plan(), str(killed_root))
    assert _files(killed_root, "cells/*.json") == after, "a finished study trains nothing"

    left = estimate(study_work(_plan(), str(killed_root)))
    assert (left.num_cells, left.num_finished, left.pairs_to_make) == (4, 4, {})
    arms = json.loads((killed_root / "studies/tiny-study/arms.json").read_text())["arms"]
    pinned = [arm["data"]["phases"][0]["sources"][0]["release"] for arm in arms]
    assert pinned == [1, 1]
    assert arms[0]["num_pairs"] > arms[1]["num_pairs"] <= 10


@pytest.mark.server
def test_study_other_plan_under_the_name_is_refused(killed_root: Path) -> None:
    with pytest.raises(PlanMismatch, match=r"study 'tiny-study' .*seeds: was \[0, 1\] / is \[0"):
        study(_plan(seeds=[0, 1, 2]), str(killed_root))
    same = _plan(description="In other words.", cannot_show=["Other words."])
    locked = open_study(str(killed_root), "tiny-study")
    assert locked.fingerprint == study_work(same, str(killed_root)).fingerprint
    assert locked.plan.cells == same.cells


@pytest.mark.server
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"arms": [{"name": "real", "data": {"phases": [{"sources": [{"kind": "corpus",
             "corpus": "absent"}]}]}}]},
            "needs a corpus 'absent'",
        ),
        ({"datasets": []}, "needs a release of dataset 'tiny'"),
        (
            {"corpora": [{"name": "nih", "kind": "nih", "source": "/no/such/folder"}]},
            "does not exist",
        ),
    ],
)  # fmt: skip
def test_study_without_its_data_is_one_line_before_work(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        study(_plan(**changes), str(tmp_path))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "datasets").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"arms": [arm_of("all"), arm_of("all", max_pairs=4)]},
            "arms must differ, got 'all' twice",
        ),
        ({"seeds": [1, 1]}, "seeds must differ, got '1' twice"),
        ({"seeds": [-1]}, "seeds must be 0 or more, got -1"),
        ({"equal": "epochs"}, "equal epochs: .* leave training.steps out, got steps 3"),
        ({"evaluation": {}}, "needs sets or tasks, got neither"),
        ({"name": "a" * 40}, "at most 48 characters"),
        (
            {"algorithms": [{"name": "a", "model": {"training": {"steps": 3, "patience": 2}}}]},
            "must not stop early",
        ),
    ],
)
def test_study_plan_that_compares_nothing_fairly_is_one_line(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        _plan(**changes)
    assert "\n" not in str(refused.value)


def test_source_of_a_corpus_may_lie_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STUDY_TEST_DATA", raising=False)
    with_default = StudyCorpus(name="n", kind="nih", source="${STUDY_TEST_DATA:-/data}/nih")
    without = StudyCorpus(name="n", kind="nih", source="${STUDY_TEST_DATA}/nih")
    assert source_of(with_default) == Path("/data/nih")
    with pytest.raises(ValueError, match="variable STUDY_TEST_DATA, which is not set"):
        source_of(without)
    monkeypatch.setenv("STUDY_TEST_DATA", "/there")
    assert source_of(with_default) == source_of(without) == Path("/there/nih")


def test_load_study_takes_a_dataset_from_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_plan().model_dump(mode="json")))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study_settings(datasets=["tiny.yaml"])))
    plan = load_study(tmp_path / "study.yaml", [("dispatch", "work-pool")])
    assert plan.datasets == (tiny_plan(),)
    assert plan.execution.dispatch == "work-pool"
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study_settings(datasets=["none.yaml"])))
    with pytest.raises(ValueError, match=r"none.yaml', which does not exist"):
        load_study(tmp_path / "study.yaml")


def test_sampling_study_differs_in_sampling_alone() -> None:
    plan = load_study(PLANS / "study_small_sampling.yaml")
    balanced, drawn_random = plan.datasets
    changes = {"name": balanced.name, "sampling": balanced.sampling}
    assert drawn_random.sampling.strategy != balanced.sampling.strategy
    assert drawn_random.model_copy(update=changes) == balanced


def test_small_study_compares_all_kinds_of_arms_in_equal_steps() -> None:
    plan = load_study(PLANS / "study_small.yaml")
    arms = [arm.name for arm in plan.arms]
    assert arms[0] == "real", "the reference"
    assert {"synthetic", "mixed", "synthetic_real"} <= set(arms)
    assert len(plan.cells) == 3 * len(arms)
    assert {plan.model_of(cell).training.seed for cell in plan.cells} == {0, 1, 2}
    assert plan.named_corpora() == ["nih"]
    assert set(plan.named_datasets()) == {one.name for one in plan.datasets}


def test_layout_of_a_study_keeps_its_files_together() -> None:
    layout = StudyLayout("a")
    keys = [layout.plan_lock, layout.arms, layout.cell("c"), layout.report("report.html")]
    assert all(key.startswith("studies/a/") for key in keys)
