"""Calibrating a gate as a person types it: images in, a bank that a plan can name out."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.calibrate import CalibratePlan, calibrate_gate
from flows.cli import _run, app
from flows.ingest import ingest_corpus
from models.engines import PaintedImage, PaintRequest, engine_config
from models.gates.bank import bank_origin
from models.gates.calibration_rules import CalibrationRules
from storage.corpora import read_corpus
from storage.objects import LocalStore
from storage.records import RejectionReason, Report, Split, View
from tasks.image_sources import CorpusImages, read_examples
from tests.models.encoders.tiny_checkpoints import save_open_clip
from tests.storage.readers.made_files import write_csv

NUM_PATIENTS = 120
REQUEST = PaintRequest("id", 0, "", Report("", ""), (), View.PA)
CANARY = "zebrafinding"


def _call(*words: str) -> int:
    return _run(lambda: app(list(words), standalone_mode=False))


def _pixels(seed: int, *, turned: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Good images brighten downwards, bad ones to the right."""
    ramp = np.linspace(40, 200, 48)[:, None] + np.zeros((48, 48))
    noisy = np.random.default_rng(seed).normal(ramp.T if turned else ramp, 15)
    return noisy.clip(0, 255).astype(np.uint8)


def _save(folder: Path, names: list[str], *, turned: bool) -> None:
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_pixels(seed + 1000 * turned, turned=turned)).save(path)


def _similarity(name: str, bad: dict[str, object]) -> CalibratePlan:
    gate = {"kind": "similarity", "good": {"kind": "corpus", "corpus": "good"}, "bad": bad}
    return CalibratePlan.model_validate({"name": name, "gate": gate})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A corpus of good images, and a folder of bad ones of two kinds."""
    source = tmp_path_factory.mktemp("good")
    names = [f"{n}.png" for n in range(NUM_PATIENTS)]
    _save(source, names, turned=False)
    lines = [
        {"image": name, "patient_id": f"p{n}", "impression": f"Case {n}."}
        for n, name in enumerate(names)
    ]
    write_csv(source / "list.csv", lines)
    folder = tmp_path_factory.mktemp("root")
    ingest_corpus("folder", str(source), "good", str(folder))
    bad = [f"{fault}/{n}.png" for fault in ("turned", "sideways") for n in range(60)]
    _save(folder / "bad", bad, turned=True)
    (folder / "bad" / "turned" / "broken.png").write_bytes(b"no image")
    return str(folder)


def test_calibrate_command_makes_a_bank_that_a_plan_names(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "name: bank\ngate:\n  kind: similarity\n  good: {kind: corpus, corpus: good}\n"
        f"  bad: {{kind: folder, path: {root}/bad}}\n"
    )
    assert _call("calibrate", str(plan), "--root", root) == 0
    said = capsys.readouterr().out
    assert re.search(r"(?m)^  recall +1\.000$", said)
    assert re.search(r"(?m)^  recall, turned +1\.000$", said)
    named = json.loads(said[said.index("{") :])
    assert named["bank"] == f"{root}/models/bank/bank.safetensors"
    gate = engine_config("image_gates", named).open()
    images = [PaintedImage(_pixels(5000, turned=turned), (), 0.0) for turned in (False, True)]
    verdicts = gate.check([REQUEST] * 2, images)
    assert [verdict.reason for verdict in verdicts] == [None, RejectionReason.BAD_IMAGE]
    metrics = json.loads((Path(root) / "models/bank/metrics.json").read_text())
    assert set(metrics["held_out"]["recall_by_kind"]) == {"turned", "sideways"}
    assert metrics["num_unreadable"] == 1


def test_calibrate_on_spoilings_counts_every_kind(root: str) -> None:
    plan = _similarity("spoilt", {"kind": "spoiled", "num_per_kind": 10})
    metrics = calibrate_gate(plan, root)
    assert len(metrics["held_out"]["recall_by_kind"]) == 10
    assert metrics["held_out"]["num_bad"] == 50


def test_calibrate_agreement_finds_a_cosine_that_a_plan_names(root: str, tmp_path: Path) -> None:
    encoder = {"kind": "open_clip", "model": str(save_open_clip(tmp_path / "clip"))}
    gate = {"kind": "agreement", "corpus": "good"}
    plan = CalibratePlan.model_validate({"name": "agree", "gate": gate, "encoder": encoder})
    metrics = calibrate_gate(plan, root)
    named = engine_config("image_gates", metrics["gate"])
    assert named.revision()
    found = metrics["held_out"]
    assert metrics["gate"]["min_cosine"] == pytest.approx(found["min_cosine"], abs=1e-6)
    assert found["num_pairs"] >= 10
    assert found["acceptance"] > 0.7


def test_calibrate_reads_training_patients_alone(root: str) -> None:
    store = LocalStore(root)
    found = read_examples(store, CorpusImages(corpus="good"), CalibrationRules(), good=True)
    allowed = {image.patient_id for image in read_corpus(store, "good").images(Split.TRAIN)}
    assert {example.patient_id for example in found.examples} == allowed
    assert len(allowed) < NUM_PATIENTS


def test_calibrate_on_restricted_images_marks_the_bank_and_shows_no_fault_by_name(
    tmp_path: Path, root: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    monkeypatch.setattr("tasks.calibration.create_table_artifact", lambda **it: shown.append(it))
    _save(tmp_path / "mine", [f"{CANARY}/{n}.png" for n in range(80)], turned=True)
    bad = {"kind": "folder", "path": str(tmp_path / "mine"), "restricted": True}
    plan = _similarity("secret", bad)
    with caplog.at_level("DEBUG"):
        calibrate_gate(plan, root)
    assert shown
    assert CANARY not in f"{shown} {caplog.text}"
    assert bank_origin(Path(root) / "models/secret/bank.safetensors").restricted


GOOD = "{kind: similarity, good: {kind: corpus, corpus: good}}"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("gate: {kind: nearest_real, corpus: absent}", "bring it in with `cxr-factory ingest`"),
        (
            "gate: {kind: similarity, good: {kind: folder, path: /absent}}",
            "'/absent', which does not exist; correct",
        ),
        (f"gate: {GOOD}\nencoder: {{kind: sonar}}", "kind must be one of"),
        ("gate: {kind: agreement, corpus: good}", "embeds images alone; name open_clip or factory"),
        (
            f"gate: {GOOD}\nencoder: {{kind: factory, checkpoint: /absent}}",
            "run `cxr-factory pretrain` first",
        ),
        (f"gate: {GOOD}\nrules: {{acceptance: 2}}", "less than 1, got 2"),
    ],
)
def test_calibrate_bad_input_is_one_line_and_leaves_nothing(
    settings: str, line: str, root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text(f"name: never\n{settings}\n")
    assert _call("calibrate", str(tmp_path / "plan.yaml"), "--root", root) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    said = captured.err.strip().splitlines()[-1]
    assert said.startswith("cxr-factory: ")
    assert line in said
    assert not (Path(root) / "models/never").exists()
