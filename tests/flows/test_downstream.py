"""What `evaluate` measures beyond zero-shot classification, on a tiny release and run."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.evaluation import evaluate
from flows.evaluation_summary import evaluation_text
from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.plan_files import parse_plan
from flows.training_plans import EvaluatePlan
from models.downstream.boxed_images import FindingBox
from models.vocabulary.findings import Finding
from storage.readers.rows import patient_split
from storage.records import Split
from tasks.dense import read_boxed_splits
from tasks.label_splits import read_label_splits
from tests.flows.conftest import tiny_plan
from tests.flows.tiny_runs import pretrained
from tests.storage.readers.made_files import grey, write_csv

PAINTER = {"kind": "phantom", "image_size_px": 64}
GROUNDING = {
    "kind": "grounding",
    "num_images": 30,
    "num_validation_images": 30,
    "painter": PAINTER,
    "settings": {"num_resamples": 100},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("factory"))
    generate_dataset(tiny_plan(), folder)
    return folder


@pytest.fixture(scope="module")
def run(root: str) -> str:
    return pretrained(root, "gloria")


def test_grounding_is_written_to_the_metrics_and_said(root: str, run: str) -> None:
    plan = EvaluatePlan.model_validate({"run": run, "tasks": [GROUNDING]})
    results = evaluate(plan, root)
    assert set(results) == {"grounding"}
    stored = json.loads((Path(root) / "models" / run / "metrics.json").read_text())
    assert stored["grounding"] == json.loads(json.dumps(results["grounding"]))
    macro = stored["grounding"]["phantoms"]["macro"]
    assert 0 <= macro["pointing_game"]["value"] <= 1
    assert 0 < macro["chance_pointing_game"]["value"] < 1
    assert evaluation_text(results).startswith("grounding on phantoms (30 images, masks painted):")


def test_grounding_of_a_run_without_regions_is_refused_before_painting(root: str) -> None:
    plan = EvaluatePlan.model_validate({"run": pretrained(root, "convirt"), "tasks": [GROUNDING]})
    with pytest.raises(ValueError, match=r"\(gloria, mgca\), got convirt"):
        evaluate(plan, root)


def test_retrieval_of_held_out_pairs_is_written_to_the_metrics_and_said(
    root: str, run: str
) -> None:
    task = {"kind": "retrieval", "name": "own", "dataset": "tiny", "split": "validation"}
    plan = EvaluatePlan.model_validate({"run": run, "tasks": [task | {"max_pairs": 2}]})
    results = evaluate(plan, root)
    stored = json.loads((Path(root) / "models" / run / "metrics.json").read_text())
    assert stored["retrieval"] == json.loads(json.dumps(results["retrieval"]))
    found = stored["retrieval"]["own"]
    assert found["num_pairs"] == 2
    assert found["image_to_text"]["recall@5"]["value"] == 1, "two candidates"
    assert evaluation_text(results).startswith("retrieval on own (2 pairs")


def test_retrieval_without_held_out_pairs_is_one_line(root: str, run: str) -> None:
    task = {"kind": "retrieval", "name": "own", "dataset": "tiny"}
    plan = EvaluatePlan.model_validate({"run": run, "tasks": [task]})
    with pytest.raises(ValueError, match="must hold test pairs, got none among 24"):
        evaluate(plan, root)


PHANTOM_LABELS = {
    "kind": "phantoms",
    "num_train_images": 40,
    "num_validation_images": 40,
    "num_test_images": 40,
    "painter": PAINTER,
}


def test_probe_and_fine_tuning_are_written_to_the_metrics_and_said(root: str, run: str) -> None:
    named = {"name": "phantoms", "labels": PHANTOM_LABELS}
    shares = {"shares": [0.1, 1.0], "num_resamples": 100}
    tasks = [
        {"kind": "linear_probe", **named, "settings": shares},
        {"kind": "fine_tuning", **named, "settings": {**shares, "steps": 2, "device": "cpu"}},
    ]
    results = evaluate(EvaluatePlan.model_validate({"run": run, "tasks": tasks}), root)
    stored = json.loads((Path(root) / "models" / run / "metrics.json").read_text())
    for kind, said in (("linear_probe", "linear probe"), ("fine_tuning", "fine-tuning")):
        assert stored[kind] == json.loads(json.dumps(results[kind]))
        small, full = stored[kind]["phantoms"]["shares"]
        assert (small["num_train_images"], full["num_train_images"]) == (4, 40)
        assert 0 <= full["macro_auroc"] <= 1
        assert f"{said} on phantoms (40 images): macro AUROC" in evaluation_text(results)


DENSE = {
    "shares": [1.0],
    "num_resamples": 100,
    "steps": 2,
    "batch_size": 8,
    "device": "cpu",
    "findings": ["Emphysema", "Cardiomegaly"],
}


def test_segmentation_and_detection_are_written_to_the_metrics_and_said(
    root: str, run: str
) -> None:
    named = {"name": "phantoms", "labels": PHANTOM_LABELS, "settings": DENSE}
    tasks = [{"kind": kind, **named} for kind in ("segmentation", "detection")]
    results = evaluate(EvaluatePlan.model_validate({"run": run, "tasks": tasks}), root)
    stored = json.loads((Path(root) / "models" / run / "metrics.json").read_text())
    said = evaluation_text(results)
    for kind, measure, masks in (
        ("segmentation", "dice", ", masks painted"),
        ("detection", "ap_40_75", ""),
    ):
        assert stored[kind] == json.loads(json.dumps(results[kind]))
        (full,) = stored[kind]["phantoms"]["shares"]
        assert full["num_train_images"] == 40
        assert set(full["per_finding"]) == {"Emphysema", "Cardiomegaly"}
        assert 0 <= full["macro"][measure]["value"] <= 1
        assert f"{kind} on phantoms (40 images{masks}): " in said
    assert "    Cardiomegaly " in said


def test_boxed_splits_of_a_corpus_leave_out_what_is_labelled_and_not_framed(
    root: str, run: str, tmp_path: Path
) -> None:
    """Images with boxes, without the finding, and with the finding but no box."""
    (tmp_path / "images").mkdir()
    columns = ("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age")
    columns += ("Patient Gender", "View Position")
    kinds = ("Mass", "No Finding", "Mass|Nodule")
    rows = [
        dict(zip(columns, (f"{n:04}.png", kinds[n % 3], 0, n, 50, "F", "PA"), strict=True))
        for n in range(90)
    ]
    write_csv(tmp_path / "labels.csv", rows)
    for row in rows:
        (tmp_path / "images" / str(row["Image Index"])).write_bytes(grey(side_px=64))
    lines = [f"{n:04}.png,Mass,256,128,512,256,,," for n in range(0, 90, 3)]
    head = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    (tmp_path / "bbox.csv").write_text("\n".join([head, *lines]) + "\n")
    ingest_corpus("nih", str(tmp_path), "framed", root)
    splits = read_boxed_splits.fn("framed", root, run, "framed", (Finding.MASS,))
    sets = (splits.train, splits.validation, splits.test)
    assert sum(len(one.images) for one in sets) == 60, "a third is labelled and not framed"
    for one, split in zip(sets, Split, strict=True):
        assert {patient_split("nih", who) for who in one.groups} == {split}
        assert {image.shape for image in one.images} == {(32, 32)}, "as the tower sees them"
        for who, boxes in zip(one.groups, one.boxes, strict=True):
            expected = [FindingBox(Finding.MASS, 8, 4, 24, 12)] if int(who) % 3 == 0 else []
            assert boxes == expected, "of 1024 px in the official frame"


def test_dense_task_of_a_tower_without_stages_is_refused_before_painting(root: str) -> None:
    tower = {"name": "timm/test_vit", "image_size_px": 32}
    run = pretrained(root, "convirt", "flat", tower)
    task = {"kind": "segmentation", "name": "x", "settings": DENSE}
    with pytest.raises(ValueError, match="with stages, whose maps shrink, got TimmTower with"):
        evaluate(EvaluatePlan.model_validate({"run": run, "tasks": [task]}), root)


def test_label_splits_of_a_corpus_are_those_of_ingest(root: str, run: str, tmp_path: Path) -> None:
    lines = [
        {"image": f"{who}-{number}.png", "patient_id": f"p{who}", "labels": ("Mass", "")[who % 2]}
        for who in range(60)
        for number in range(2)
    ]
    for line in lines:
        (tmp_path / line["image"]).write_bytes(grey(side_px=48))
    write_csv(tmp_path / "list.csv", lines)
    ingest_corpus("folder", str(tmp_path), "probed", root)
    splits = read_label_splits.fn("probed", root, run, "probed")
    for labelled, split in (
        (splits.train, Split.TRAIN),
        (splits.validation, Split.VALIDATION),
        (splits.test, Split.TEST),
    ):
        assert {patient_split("folder", who) for who in labelled.groups} == {split}
        assert {image.shape for image in labelled.images} == {(32, 32)}, "as the tower sees them"
        mass = labelled.labels_NF[:, labelled.findings.index(Finding.MASS)]
        assert mass.tolist() == [int(who[1:]) % 2 == 0 for who in labelled.groups]
    assert sum(len(one.images) for one in (splits.train, splits.validation, splits.test)) == 120


def test_labels_outside_the_list_are_one_line(root: str, run: str, tmp_path: Path) -> None:
    lines = [{"image": f"{k}.png", "patient_id": f"p{k}", "labels": "Covid"} for k in range(40)]
    for line in lines:
        (tmp_path / line["image"]).write_bytes(grey(side_px=48))
    write_csv(tmp_path / "list.csv", lines)
    ingest_corpus("folder", str(tmp_path), "strange", root)
    with pytest.raises(ValueError, match=r"one class only in .* labels of the list \(Atelectasis"):
        read_label_splits.fn("strange", root, run, "strange")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs sets or tasks, got neither"),
        ({"tasks": [GROUNDING, GROUNDING]}, "got 'phantoms' twice in grounding"),
        ({"tasks": [{"kind": "telepathy"}]}, "telepathy"),
        (
            {"tasks": [{"kind": "retrieval", "name": "x", "dataset": "d", "split": "train"}]},
            "train",
        ),
    ],
)
def test_evaluation_that_measures_nothing_or_one_thing_twice_is_one_line(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        parse_plan({"run": "a-r1", **settings}, EvaluatePlan, "plan.yaml")
    assert "\n" not in str(refused.value)
