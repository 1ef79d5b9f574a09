"""Pretrain and evaluate as flows, on a release and on real images of a corpus."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from flows.evaluation import evaluate
from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.pretrain import pretrain
from flows.summary import zero_shot_text
from flows.training_plans import EvaluatePlan, PretrainPlan
from models.vocabulary.findings import Finding
from models.vocabulary.label_lists import LabelList, labels_of
from storage.corpora import read_corpus
from storage.errors import ObjectMissing
from storage.objects import LocalStore
from storage.readers.folder_columns import FolderColumns
from storage.readers.rows import patient_split
from storage.records import Split
from tasks.evaluation import labelled_images
from tests.flows.conftest import tiny_plan
from tests.storage.readers.made_files import grey, write_csv

TRAINING = {
    "name": "tiny-convirt",
    "dataset": "tiny",
    "model": {
        "image_tower": {"image_size_px": 32, "width": 8},
        "text_tower": {"width": 16, "num_layers": 1, "num_heads": 2},
        "training": {"steps": 4, "batch_size": 8, "device": "cpu"},
    },
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("factory"))
    generate_dataset(tiny_plan(), folder)
    return folder


def _nih_folder(folder: Path) -> Path:
    """Two patients in the official layout."""
    (folder / "images").mkdir(parents=True)
    lines = [
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    ]
    for patient in range(1, 5):
        name = f"0000000{patient}_000.png"
        Image.new("L", (64, 64), 40 * patient).save(folder / "images" / name)
        label = "Effusion|Mass" if patient % 2 else "No Finding"
        lines.append(f"{name},{label},0,{patient},60,F,{'PA' if patient > 2 else 'AP'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "bbox.csv").write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\n")
    return folder


def test_pretrain_and_evaluate_write_metrics_with_interval(root: str, tmp_path: Path) -> None:
    run = pretrain(PretrainPlan.model_validate(TRAINING), root)
    assert run.run == "tiny-convirt-r1"
    ingest_corpus("nih", str(_nih_folder(tmp_path / "nih")), "nih", root)
    sets = [
        {"kind": "phantoms", "num_images": 40, "painter": {"kind": "phantom", "image_size_px": 64}},
        {"kind": "corpus", "name": "nih", "corpus": "nih", "split": None},
    ]
    plan = EvaluatePlan.model_validate(
        {"run": run.run, "sets": sets, "zero_shot": {"num_resamples": 100}}
    )
    results = evaluate(plan, root)
    metrics = json.loads((Path(root) / "models" / run.run / "metrics.json").read_text())
    phantoms, real = metrics["zero_shot"]["phantoms"], metrics["zero_shot"]["nih"]
    low, high = phantoms["ci95"]
    assert 0 <= low <= phantoms["macro_auroc"] <= high <= 1
    assert real["per_finding"]["Hernia"]["auroc"] is None
    assert "no image is labelled present" in real["per_finding"]["Hernia"]["reason"]
    assert set(real["per_view"]) == {"AP", "PA"}
    said = re.findall(
        r"^  (\w+), macro", zero_shot_text({"nih": results["zero_shot"]["nih"]}), re.MULTILINE
    )
    assert said == ["AP", "PA"]
    assert metrics["release"] == "tiny@1"
    assert metrics["provenance"]["dataset"] == "tiny"


def test_corpus_set_is_test_patients_and_what_is_possible_counts_for_nothing(
    tmp_path: Path,
) -> None:
    states = ("1", "0", "-1")
    lines = [
        {"image": f"p{who}.png", "patient_id": f"p{who}", "Edema": states[who % 3], "Mass": "1"}
        for who in range(60)
    ]
    for line in lines:
        (tmp_path / line["image"]).write_bytes(grey())
    write_csv(tmp_path / "list.csv", lines)
    root = str(tmp_path / "root")
    columns = FolderColumns(labels=("Edema", "Mass"))
    ingest_corpus("folder", str(tmp_path), "mine", root, columns=columns)
    images = read_corpus(LocalStore(root), "mine").images(Split.TEST)
    found = labelled_images("mine", images, 32, labels_of(LabelList.CHESTXRAY14))
    of_test = {f"p{who}" for who in range(60) if patient_split("folder", f"p{who}") is Split.TEST}
    assert set(found.groups) == of_test
    edema = found.labels_NF[:, found.findings.index(Finding.EDEMA)]
    stated = {"1": 1, "0": 0, "-1": -1}
    assert edema.tolist() == [stated[states[int(who[1:]) % 3]] for who in found.groups]
    assert set(edema.tolist()) == {-1, 0, 1}, "each must occur for this test to say anything"
    assert (found.labels_NF[:, found.findings.index(Finding.MASS)] == 1).all()


def test_pretrain_again_is_the_same_run(root: str) -> None:
    plan = PretrainPlan.model_validate(TRAINING)
    pretrain(plan, root)
    model = Path(root) / "models/tiny-convirt-r1/model.safetensors"
    before = model.stat().st_mtime_ns
    pretrain(plan, root)
    assert model.stat().st_mtime_ns == before


def test_pretrain_without_a_release_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="run generate first"):
        pretrain(PretrainPlan.model_validate(TRAINING), str(tmp_path))


def test_evaluate_unknown_run_says_so(root: str) -> None:
    sets = [
        {"kind": "phantoms", "num_images": 20, "painter": {"kind": "phantom", "image_size_px": 64}}
    ]
    plan = EvaluatePlan.model_validate({"run": "absent-r1", "sets": sets})
    with pytest.raises(ObjectMissing, match="no trained run 'absent-r1'"):
        evaluate(plan, root)
