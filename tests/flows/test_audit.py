"""Auditing a real corpus as a person types it: counts, every verdict, a sheet of the worst."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.audit import audit_corpus
from flows.cli import _run, app
from flows.ingest import ingest_corpus
from models.engines import engine_config
from tests.storage.readers.made_files import write_csv

CANARY = "zebrafinding"
NUM_IMAGES, NUM_FLAT, NUM_FRAMED = 70, 10, 3  # more than one batch


def _call(*words: str) -> int:
    return _run(lambda: app(list(words), standalone_mode=False))


def _png(number: int) -> bytes:
    """Flat ones first, then framed ones, then usable ones; never two the same."""
    ramp = np.linspace(20, 220, 48)
    grey = (ramp[:, None] + ramp[None, :]) / 2 + number / 10
    if number < NUM_FLAT:
        grey = np.full((48, 48), 100.0) + number * np.linspace(0, 1, 48)
    elif number < NUM_FLAT + NUM_FRAMED:
        grey[12:] = 2
    buffer = io.BytesIO()
    Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same images as an open corpus, and as a restricted one."""
    source, folder = tmp_path_factory.mktemp("source"), str(tmp_path_factory.mktemp("root"))
    lines = []
    for number in range(NUM_IMAGES):
        (source / f"{CANARY}-{number}.png").write_bytes(_png(number))
        label = ("Edema|Mass", CANARY, "")[number % 3]
        lines.append(
            {
                "image": f"{CANARY}-{number}.png",
                "patient_id": f"{CANARY}-p{number}",
                "view": ("PA", "AP", "")[number % 3],
                "labels": label,
                "impression": f"{CANARY} is seen.",
            }
        )
    write_csv(source / "list.csv", lines)
    ingest_corpus("folder", str(source), "open", folder)
    ingest_corpus("folder", str(source), "secret", folder, restricted=True)
    return folder


def test_audit_command_counts_by_reason_view_and_finding(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call("audit", "open", "--root", root, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["num_images"], summary["num_rejected"]) == (70, NUM_FLAT + NUM_FRAMED)
    counts = {
        (row["reason"], row["group"], row["name"]): (row["num_rejected"], row["num_images"])
        for row in summary["rows"]
    }
    assert counts["constant", "all", "all"] == (10, 70)
    assert counts["border", "all", "all"] == (3, 70)
    assert counts["constant", "view", "PA"] == (4, 24)
    assert counts["constant", "view", "unknown"] == (3, 23)
    assert counts["constant", "finding", "Mass"] == (4, 24)
    assert counts["constant", "finding", "other"] == (3, 23)
    assert counts["constant", "finding", "No Finding"] == (3, 23)
    assert _call("audit", "open", "--root", root) == 0  # again: the same place
    said = capsys.readouterr().out
    assert "open: 13 of 70 images rejected (18.6%)" in said
    assert said.strip().endswith(summary["folder"])


def test_audit_leaves_every_verdict_and_a_sheet(root: str) -> None:
    summary = audit_corpus("open", (engine_config("image_gates", {"kind": "technical"}),), root)
    folder = Path(summary["folder"])
    assert folder.parent == Path(root) / "corpora" / "open.audits"
    lines = list(csv.DictReader((folder / "verdicts.csv").open()))
    assert len({line["image_id"] for line in lines}) == NUM_IMAGES
    contrast = [line for line in lines if line["measure"] == "contrast"]
    flat = [line for line in contrast if line["reason"] == "constant"]
    assert len(flat) == NUM_FLAT
    assert all(float(line["value"]) < float(line["threshold"]) for line in flat)
    assert {line["passed"] for line in flat} == {"False"}
    with Image.open(folder / "worst.png") as sheet:
        assert sheet.size[0] > 8 * 192  # eight of the ten flat ones in a row
        assert sheet.size[1] > 2 * 192
    assert json.loads((folder / "summary.json").read_text()) == summary


def test_audit_of_a_restricted_corpus_shows_counts_alone(
    root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shown: list[object] = []
    monkeypatch.setattr("tasks.audit.create_table_artifact", lambda **it: shown.append(it))
    with caplog.at_level("DEBUG"):
        summary = audit_corpus(
            "secret", (engine_config("image_gates", {"kind": "technical"}),), root
        )
    assert summary["restricted"]
    assert "13 of 70 images rejected" in f"{shown}"
    assert CANARY not in f"{shown} {summary} {caplog.text}"
    assert CANARY in (Path(summary["folder"]) / "verdicts.csv").read_text()


def test_audit_finds_copies_within_a_corpus_by_the_nearest_real_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (30, 32, 32)).astype(np.uint8)
    lines = []
    for number in range(32):
        # 30 and 31 are those of 0 and 1 again, under another name
        Image.fromarray(noise[number % 30]).save(tmp_path / f"{number}.png")
        lines.append({"image": f"{number}.png", "patient_id": f"p{number}", "split": "train"})
    for number in range(32, 72):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append({"image": f"{number}.png", "patient_id": f"p{number}", "split": "validation"})
    write_csv(tmp_path / "list.csv", lines)
    root = str(tmp_path / "root")
    ingest_corpus("folder", str(tmp_path / "list.csv"), "twice", root)
    (tmp_path / "plan.yaml").write_text("name: near\ngate: {kind: nearest_real, corpus: twice}\n")
    assert _call("calibrate", str(tmp_path / "plan.yaml"), "--root", root) == 0
    said = capsys.readouterr().out
    named = json.loads(said[said.index("{") :])
    gate = engine_config("image_gates", named | {"min_distance": 0.01, "max_distance": 2.0})
    summary = audit_corpus("twice", (gate,), root)
    (row,) = [row for row in summary["rows"] if row["group"] == "all"]
    assert (row["reason"], row["num_rejected"]) == ("memorised", 4)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["absent"], "bring it in with `cxr-factory ingest`"),
        (["open", "--plan", "absent.yaml"], "absent.yaml', which does not exist"),
    ],
)
def test_audit_bad_input_is_one_line(
    words: list[str], line: str, root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call("audit", *words, "--root", root) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert line in captured.err.strip().splitlines()[-1]
