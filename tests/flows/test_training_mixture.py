"""Training on several sources: made and real, mixed or in turn, as a person asks for it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from flows.audit import audit_corpus
from flows.cli import _run, app
from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.plan_files import parse_plan
from flows.pretrain import planned_run, pretrain
from flows.training_plans import PretrainPlan
from models.engines import engine_config
from models.vlp.checkpoint import load_checkpoint
from models.vocabulary.findings import Finding
from tasks.corpus_pairs import REJECTED
from tasks.training_mixture import count_training_pairs
from tests.flows.conftest import all_that_prefect_keeps, tiny_plan
from tests.flows.test_training import TRAINING
from tests.storage.readers.made_files import grey, png, write_csv

CANARY = "zebrafinding"
NUM_PATIENTS, NUM_FLAT = 60, 20
MADE = {"kind": "release", "dataset": "tiny"}
REAL = {"kind": "corpus", "corpus": "real", "text": "labels"}
TECHNICAL = {"kind": "technical"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A release of 24 pairs, and 60 real patients: the first 20 have images that show nothing."""
    source, folder = tmp_path_factory.mktemp("source"), str(tmp_path_factory.mktemp("root"))
    generate_dataset(tiny_plan(), folder)
    lines = []
    for patient in range(NUM_PATIENTS):
        name = f"p{patient:02}.png"
        ramp = np.add.outer(np.arange(64), np.arange(64)) + patient
        (source / name).write_bytes(grey() if patient < NUM_FLAT else png(ramp.astype(np.uint8)))
        said = f"{CANARY} is seen."
        label = "Edema" if patient % 2 else ""
        lines.append({"image": name, "patient_id": name[:3], "labels": label, "findings": said})
    write_csv(source / "list.csv", lines)
    ingest_corpus("folder", str(source), "real", folder)
    ingest_corpus("folder", str(source), "secret", folder, restricted=True)
    return folder


def settings(name: str, *phases: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "mixture": {"phases": phases}, "model": TRAINING["model"]}


def test_pretrain_command_on_a_mixture_says_what_it_was_trained_on(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = settings("both", {"sources": [MADE | {"weight": 3}, REAL | {"max_pairs": 15}]})
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(mixed))
    call = ["pretrain", str(tmp_path / "plan.yaml"), "--root", root]
    assert _run(lambda: app([*call, "--json"], standalone_mode=False)) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert (metrics["run"], metrics["release"]) == ("both-mix-r1", "tiny@1 + real")
    assert metrics["restricted"] is False
    made, real = metrics["provenance"]["sources"]
    assert (made["kind"], made["release"]) == ("release", "tiny@1")
    assert made["phases"] == [{"phase": 1, "share": 1.0, "weight": 3.0}]
    assert (real["corpus"], real["corpus_version"], real["num_pairs"]) == ("real", 1, 15)
    assert real["text"] == "derived from labels"
    assert real["phases"] == [{"phase": 1, "share": 1.0, "weight": 1.0}]
    model = Path(root) / "models/both-mix-r1/model.safetensors"
    written = model.stat().st_mtime_ns
    assert json.loads(load_checkpoint(model).provenance.sources) == [made, real]

    plan = PretrainPlan.model_validate(mixed)
    assert planned_run(root, plan) == "both-mix-r1"
    assert pretrain(plan, root).metrics == metrics
    assert model.stat().st_mtime_ns == written, "the same plan is the same run"
    counted = count_training_pairs(root, plan.mixture.parts())  # type: ignore[union-attr]
    assert counted.by_source == (("tiny@1", made["num_pairs"]), ("real", 15))
    assert counted.num_pairs == made["num_pairs"] + 15
    assert list(counted.findings) == [finding.value for finding in Finding]
    assert 1 < counted.findings["Edema"] <= counted.num_pairs
    assert _run(lambda: app(call, standalone_mode=False)) == 0
    assert "run both-mix-r1 on tiny@1 + real: 4 steps" in capsys.readouterr().out


def test_in_turn_with_early_stopping_and_what_another_plan_under_the_name_is_told(
    root: str,
) -> None:
    in_turn = settings("turn", {"share": 0.5, "sources": [MADE]}, {"share": 0.5, "sources": [REAL]})
    training = in_turn["model"]["training"] | {"patience": 5, "validate_every_steps": 1}
    in_turn["model"] = in_turn["model"] | {"training": training}
    run = pretrain(PretrainPlan.model_validate(in_turn), root)
    made, real = run.metrics["provenance"]["sources"]
    assert (made["phases"][0]["phase"], real["phases"][0]["phase"]) == (1, 2)
    log = (Path(root) / "models/turn-mix-r1/log.jsonl").read_text().splitlines()
    assert [json.loads(line)["terms"]["validation"] > 0 for line in log] == [True] * 4
    others = settings("turn", {"sources": [MADE, REAL]})
    others["model"] = in_turn["model"]
    with pytest.raises(
        Exception, match=r"must hold a run of this plan.*differs in: source 1\.phases \["
    ):
        pretrain(PretrainPlan.model_validate(others), root)


def test_a_run_of_batches_of_one_source_says_so(root: str) -> None:
    phase = {"sources": [MADE, REAL | {"max_pairs": 15}], "batches": "one_source"}
    run = pretrain(PretrainPlan.model_validate(settings("turns", phase)), root)
    expected = [{"phase": 1, "share": 1.0, "weight": 1.0, "batches": "one_source"}]
    assert [one["phases"] for one in run.metrics["provenance"]["sources"]] == [expected] * 2


def test_a_restricted_source_marks_the_run_and_prefect_sees_no_word_of_it(root: str) -> None:
    secret = {"kind": "corpus", "corpus": "secret"}
    run = pretrain(PretrainPlan.model_validate(settings("hush", {"sources": [MADE, secret]})), root)
    assert run.metrics["restricted"] is True
    assert [one["restricted"] for one in run.metrics["provenance"]["sources"]] == [False, True]
    assert CANARY not in json.dumps(run.metrics)
    assert CANARY not in all_that_prefect_keeps(until="cxr-factory.run.hush-mix-r1")


def test_what_an_audit_rejected_is_left_out_once_there_is_one(root: str) -> None:
    cleaned = REAL | {"audited_by": [TECHNICAL]}
    plan = PretrainPlan.model_validate(settings("clean", {"sources": [cleaned]}))
    with pytest.raises(ValueError, match="must have been audited by the gates technical"):
        pretrain(plan, root)
    audit_corpus("real", (engine_config("image_gates", TECHNICAL),), root)
    run = pretrain(plan, root)
    (all_of_it,) = count_training_pairs(
        root,
        PretrainPlan.model_validate(settings("all", {"sources": [REAL]})).mixture.parts(),  # type: ignore[union-attr]
    ).by_source
    (source,) = run.metrics["provenance"]["sources"]
    assert run.run == "clean-mix"
    assert source["left_out"][REJECTED] == all_of_it[1] - source["num_pairs"] > 0
    assert source["audited_by"][0][0] == "technical"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"mixture": None}, "needs a dataset or a mixture, got neither"),
        ({"dataset": "tiny"}, r"got both \(dataset 'tiny'\)"),
        ({"release": 1}, "release, slice and reviews of a mixture are its sources'"),
        ({"name": "a" * 63 + "!"}, "name: "),
    ],
)
def test_plan_of_no_or_two_data_is_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        parse_plan(settings("a", {"sources": [REAL]}) | changes, PretrainPlan, source="plan.yaml")
    assert "\n" not in str(caught.value)


def test_mixture_of_a_corpus_that_is_not_there_says_so(root: str) -> None:
    plan = settings("none", {"sources": [REAL | {"corpus": "absent"}]})
    with pytest.raises(ValueError, match="expected a corpus 'absent'"):
        pretrain(PretrainPlan.model_validate(plan), root)
