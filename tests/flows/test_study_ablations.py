"""Ablations that come with the factory: they differ in what they say, and a gate matters."""

from typing import Any

import lance
import pytest

from flows.demo import PLANS
from flows.plan_files import parse_plan
from flows.plans import DatasetPlan
from flows.study import study
from flows.study_files import load_study
from flows.study_plans import StudyPlan
from flows.study_work import open_study
from tests.flows.test_study import MODEL, PAINTER

LAPTOP = {"shard_units": 16, "num_processes": 1, "retry_delay_seconds": 0.0}


def _named(study_plan: StudyPlan) -> dict[str, DatasetPlan]:
    return {one.name: one for one in study_plan.datasets}


def _apart(one: DatasetPlan, other: DatasetPlan) -> set[str]:
    """Settings in which two plans differ, their names aside."""
    ours, theirs = one.content(), other.content()
    return {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}


def _tiny(name: str) -> StudyPlan:
    """A study that comes with the factory, on a few small phantoms for three steps."""
    settings: dict[str, Any] = load_study(PLANS / f"{name}.yaml").model_dump(mode="json")
    small = {"target": {"accepted": 32, "reserve": 16}, "unit_size": 16}
    settings["datasets"] = [
        one | small | {"painter": PAINTER, "execution": LAPTOP} for one in settings["datasets"]
    ]
    phantoms = {"kind": "phantoms", "num_images": 30, "painter": PAINTER}
    settings |= {
        "corpora": [],
        "seeds": [0],
        "algorithms": [{"name": "convirt", "model": MODEL}],
        "evaluation": {"sets": [phantoms], "zero_shot": {"num_resamples": 100}},
    }
    return parse_plan(settings, StudyPlan, name)


@pytest.fixture(scope="module")
def gates_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("gates"))
    outcome = study(_tiny("study_small_gates"), root)
    assert outcome.failed == ()
    assert [verdict.split(":")[0] for verdict in outcome.verdicts] == ["ungated", "clean"]
    return root


def _table(root: str, dataset: str, table: str, *columns: str) -> list[dict[str, Any]]:
    rows = lance.dataset(f"{root}/datasets/{dataset}/{table}.lance").to_table(columns=[*columns])
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def _says_what_was_asked(row: dict[str, Any]) -> bool:
    asked, found = (
        {(entity["text"], entity["kind"]) for entity in row[column]}
        for column in ("entities_requested", "entities_found")
    )
    places = {(entity["anatomy"], "anatomy") for entity in row["entities_requested"]}
    return asked <= found <= asked | places


@pytest.mark.server
@pytest.mark.timeout(600)
def test_reports_with_mistakes_reach_training_only_where_the_gate_is_off(gates_root: str) -> None:
    num_wrong: dict[str, int] = {}
    tries: dict[str, set[int]] = {}
    for arm in ("clean", "gated", "ungated"):
        columns = ("entities_requested", "entities_found", "written")
        rows = _table(gates_root, f"gates_{arm}", "pairs", *columns)
        assert len(rows) == 32
        wrong = ["by mistake" in row["written"]["prompt"] for row in rows]
        assert wrong == [not _says_what_was_asked(row) for row in rows]
        num_wrong[arm] = sum(wrong)
        tries[arm] = {row["written"]["tries"] for row in rows}
    assert num_wrong["clean"] == num_wrong["gated"] == 0
    assert num_wrong["ungated"] > 10, "six of ten, of 32"
    assert tries["clean"] == tries["ungated"] == {1}
    assert max(tries["gated"]) > 1


@pytest.mark.server
def test_study_of_gates_is_locked_with_its_mistakes(gates_root: str) -> None:
    plan = open_study(gates_root, "study_small_gates").plan
    writers = {name: one.writer.model_dump() for name, one in _named(plan).items()}
    assert "mistakes" not in writers["gates_clean"]
    assert writers["gates_gated"]["mistakes"] == writers["gates_ungated"]["mistakes"] == 0.6


def test_gates_study_differs_in_mistakes_and_gate_alone() -> None:
    datasets = _named(load_study(PLANS / "study_small_gates.yaml"))
    clean, gated, ungated = (datasets[f"gates_{arm}"] for arm in ("clean", "gated", "ungated"))
    assert _apart(clean, gated) == {"writer"}
    assert _apart(gated, ungated) == {"report_rules"}
    assert (gated.report_rules.match, ungated.report_rules.match) == ("pairs", "nothing")


def test_painters_study_differs_in_the_painter_alone() -> None:
    datasets = _named(load_study(PLANS / "study_small_painters.yaml"))
    assert _apart(datasets["painters_phantom"], datasets["painters_nih64"]) == {"painter"}


def test_writers_study_differs_in_the_writer_and_what_real_reports_leave_to_nobody() -> None:
    datasets = _named(load_study(PLANS / "study_small_writers.yaml"))
    varied, canonical, real = (
        datasets[f"writers_{arm}"] for arm in ("varied", "canonical", "real")
    )
    assert _apart(varied, canonical) == {"writer"}
    assert _apart(varied, real) == {"writer", "entities", "sampling", "splits"}


def test_mixed_study_compares_batches_of_the_same_pairs() -> None:
    plan = load_study(PLANS / "study_small_mixed.yaml")
    real, mixed, by_source = (arm.data.phases for arm in plan.arms)
    assert mixed[0].sources == by_source[0].sources
    assert mixed[0].sources[:1] == real[0].sources
    assert [phases[0].batches for phases in (real, mixed, by_source)] == [
        "mixed",
        "mixed",
        "one_source",
    ]
    (dataset,) = plan.datasets
    shared = _named(load_study(PLANS / "study_small.yaml"))[dataset.name]
    assert shared.content() == dataset.content(), "both studies may have one root"


@pytest.mark.parametrize("name", ["gates", "mixed", "painters", "writers", "sampling"])
def test_ablation_trains_every_arm_from_three_seeds_with_equal_steps(name: str) -> None:
    plan = load_study(PLANS / f"study_small_{name}.yaml")
    small = load_study(PLANS / "study_small.yaml")
    assert plan.seeds == (0, 1, 2)
    assert plan.algorithms == small.algorithms
    assert len(plan.cells) <= 12
    assert plan.cannot_show
