"""What a study cannot work with, through the command: one line, one failed cell, the rest done."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli import _run, app
from models.studies.results import EVERY_METRIC
from tests.flows.test_study import MODEL, PAINTER, arm_of, study_settings
from tests.storage.readers.made_datasets import make_rsna
from tests.storage.readers.made_files import grey, write_csv

CHECKPOINT = "model.safetensors"
NIH_COLUMNS = ("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age")
NIH_COLUMNS += ("Patient Gender", "View Position")
SEGMENTATION = {
    "kind": "segmentation",
    "name": "masks",
    "labels": {
        "kind": "phantoms",
        "num_train_images": 20,
        "num_validation_images": 20,
        "num_test_images": 20,
        "painter": PAINTER,
    },
    "settings": {
        "findings": ["Emphysema"],
        "shares": [1.0],
        "num_resamples": 100,
        "steps": 1,
        "batch_size": 8,
        "device": "cpu",
    },
}
GROUNDING = {"kind": "grounding", "num_images": 20, "num_validation_images": 20, "painter": PAINTER}


def call(*words: str) -> int:
    return _run(lambda: app(list(words), standalone_mode=False))


def written(folder: Path, **changes: Any) -> Path:
    """A study's file; its dataset is made already."""
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study_settings(arms=[arm_of("all")], seeds=[0], **changes)))
    return path


def nih_folder(folder: Path, num_patients: int, label_of: Callable[[int], str]) -> Path:
    """An image a patient in the layout of ChestX-ray14."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for patient in range(num_patients):
        values = (f"{patient:04}.png", label_of(patient), 0, patient, 50, "F", "PA")
        rows.append(dict(zip(NIH_COLUMNS, values, strict=True)))
        (folder / "images" / f"{patient:04}.png").write_bytes(grey(level=patient, side_px=32))
    write_csv(folder / "labels.csv", rows)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a dataset and a study of one cell."""
    folder = tmp_path_factory.mktemp("bad")
    assert call("study", str(written(folder)), "--root", str(folder / "root")) == 0
    return folder / "root"


@pytest.mark.server
def test_cells_that_cannot_be_trained_fail_each_with_its_line_and_the_rest_is_measured(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loss that is no number, and a checkpoint of another architecture in a cell's place."""
    algorithms = [
        {"name": "nan", "model": MODEL | {"objective": {"kind": "convirt", "temperature": 1e-44}}},
        {"name": "other", "model": MODEL | {"image_tower": {"image_size_px": 32, "width": 16}}},
        {"name": "plain", "model": MODEL},
        {"name": "flat", "model": MODEL | {"image_tower": {"name": "timm/test_vit",
         "image_size_px": 32}}},
    ]  # fmt: skip
    changes = {"name": "failing", "algorithms": algorithms}
    changes["evaluation"] = study_settings()["evaluation"] | {"tasks": [GROUNDING, SEGMENTATION]}
    place = root / "models" / "failing-all-other-s0-mix-r1"
    place.mkdir()
    shutil.copy(root / "models/tiny-study-all-convirt-s0-mix-r1" / CHECKPOINT, place)
    assert call("study", str(written(tmp_path, **changes)), "--root", str(root), "--json") == 1
    said = capsys.readouterr()
    assert "2 of 4 cells failed; run the same command again" in said.err
    failed = json.loads(said.out)["failed"]
    assert failed["all-nan-s0"].startswith("the loss must stay finite, got nan at step 1 of 3")
    assert "image_tower.width 8 -> 16" in failed["all-other-s0"]
    assert all("\n" not in reason for reason in failed.values())
    with (root / "studies/failing/figures.csv").open() as file:
        figures = {
            (row["algorithm"], row["task"], row["metric"]): row for row in csv.DictReader(file)
        }
    assert figures["plain", "segmentation/masks", "100% of labels, dice"]["value"]
    reasons = {of[:2]: row["reason"] for of, row in figures.items() if of[2] == EVERY_METRIC}
    assert set(reasons) == {
        ("plain", "grounding/phantoms"),
        ("flat", "grounding/phantoms"),
        ("flat", "segmentation/masks"),
    }
    assert "whose maps shrink, got TimmTower" in reasons["flat", "segmentation/masks"]
    report = (root / "studies/failing/report.md").read_text()
    assert "got convirt; pre-train one of those" in report
    assert re.search(r"segmentation/masks: 100% of labels, dice \| plain \| [01]\.\d{3} \(", report)
    with (root / "studies/failing/arms.csv").open() as file:
        measured = {row["algorithm"] for row in csv.DictReader(file) if row["macro_auroc"]}
    assert measured == {"plain", "flat"}

    (place / CHECKPOINT).unlink()
    finished = {path: path.stat().st_mtime_ns for path in root.glob("studies/failing/cells/*")}
    assert call("study", str(written(tmp_path, **changes)), "--root", str(root)) == 1
    assert "1 of 4 cells failed" in capsys.readouterr().err
    tried = {path.parent.name: path.name for path in root.glob("studies/failing/failures/*/*")}
    assert tried == {"all-nan-s0": "2.json", "all-other-s0": "1.json"}, "failed cells alone"
    assert all(path.stat().st_mtime_ns == before for path, before in finished.items())


def real_study(folder: Path, name: str, source: Path, **of_set: Any) -> Path:
    """A study that brings in a corpus and measures on it; where a split is named, trains on it."""
    settings = study_settings(name=name, arms=[arm_of("all")], seeds=[0])
    settings["corpora"] = [{"name": name, "kind": "nih", "source": str(source)}]
    settings["evaluation"] = {"sets": [{"kind": "corpus", "name": "real", "corpus": name} | of_set]}
    if of_set:
        real = {"kind": "corpus", "corpus": name, "text": "labels"}
        settings["arms"].append({"name": "real", "data": {"phases": [{"sources": [real]}]}})
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.mark.server
@pytest.mark.parametrize(
    ("name", "num_patients", "label", "of_set", "said"),
    [
        ("strange", 60, "Fever", {}, r"one class only in \d+ images \(their labels are Fever \(\d"),
        ("alike", 60, "No Finding", {}, r"one class only in \d+ images; evaluate on another"),
        ("few", 2, "Mass", {}, r"one class only in [012] images"),
        ("whole", 60, "Mass", {"split": None}, "trained on, got split all of corpus 'whole'"),
        ("seen", 60, "Mass", {"split": "train"}, "trained on, got split train of corpus 'seen'"),
    ],
)
def test_real_images_that_tell_nothing_end_a_study_in_one_line_before_training(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    name: str, num_patients: int, label: str, of_set: dict[str, Any], said: str,
) -> None:  # fmt: skip
    """Labels outside the list, one class, too few patients to split, patients trained on."""
    source = nih_folder(tmp_path / "nih", num_patients, lambda _: label)
    assert (
        call("study", str(real_study(tmp_path, name, source, **of_set)), "--root", str(root)) == 1
    )
    complaints = [line for line in capsys.readouterr().err.splitlines() if " must " in line]
    assert len(complaints) == 1
    assert re.search(said, complaints[0]), complaints[0]
    assert not list((root / "models").glob(f"{name}-*"))


@pytest.mark.server
def test_corpus_in_another_layout_is_one_line_before_anything_is_begun(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_rsna(tmp_path / "rsna")
    plan = real_study(tmp_path, "elsewhere", tmp_path / "rsna")
    assert call("study", str(plan), "--root", str(root)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "ingest nih: expected a folder with labels.csv or Data_Entry_2017" in line
    assert not (root / "studies/elsewhere").exists()


@pytest.mark.server
def test_findings_of_one_class_and_labels_outside_the_list_are_left_out_and_said(
    root: Path, tmp_path: Path
) -> None:
    """Mass in every fifth patient, Fever in each; of all other findings no image shows one."""
    source = nih_folder(tmp_path / "nih", 60, lambda n: "Fever" if n % 5 else "Mass|Fever")
    plan = real_study(tmp_path, "narrow", source)
    assert call("study", str(plan), "--root", str(root)) == 0
    with (root / "studies/narrow/left_out.csv").open() as file:
        left_out = {row["finding"]: row["reason"] for row in csv.DictReader(file)}
    assert len(left_out) == 13 and "Mass" not in left_out
    assert set(left_out.values()) == {"no image is labelled present"}
    report = (root / "studies/narrow/report.md").read_text()
    assert re.search(r"none of chestxray14, and nothing is asked of them: Fever \(\d+\)", report)
