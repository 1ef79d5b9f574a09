"""The commands that show decisions, save slices and draw blind studies."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from storage.blind_study import read_study
from storage.ingestion import corpus_reader, ingest
from storage.objects import LocalStore
from storage.readers.folder_columns import FolderColumns
from storage.review_records import ReviewDecision
from storage.reviews import append_reviews, review_table
from storage.slices import read_slice
from tests.storage.made import LAYOUT, LINEAGE, decided, png, released_pairs
from tests.storage.readers.made_files import write_csv

CLI = Path(sys.executable).with_name("cxr-factory")
KEEP, REJECT = ReviewDecision.KEEP, ReviewDecision.REJECT


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(str(tmp_path / "root"))
    released_pairs(store)
    return store


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CLI, *command], capture_output=True, text=True, check=False, timeout=120)


def test_slice_command_saves_the_filter_and_counts_its_pairs(
    store: LocalStore, tmp_path: Path
) -> None:
    plan = tmp_path / "filter.yaml"
    plan.write_text("{max_unit: 1, views: [AP]}")
    ran = _run("slice", "test-set", "early", plan, "--root", store.root, "--json")
    assert ran.returncode == 0, ran.stderr
    found = {"slice": "early", "release": "test-set@1", "num_pairs": 8}
    assert json.loads(ran.stdout) == found
    assert read_slice(store, LAYOUT, "early").filter.max_unit == 1
    plan.write_text("{colour: grey}")
    ran = _run("slice", "test-set", "late", plan, "--root", store.root)
    assert ran.returncode == 1
    assert "colour: no such field; remove it or correct its name" in ran.stderr


def test_reviews_and_blind_study_commands_say_what_readers_found(
    store: LocalStore, tmp_path: Path
) -> None:
    table = review_table(store, LAYOUT, LINEAGE)
    for name, said in (("ann", "kkrr"), ("bob", "krrr")):
        decisions = [KEEP if letter == "k" else REJECT for letter in said]
        append_reviews(table, [decided(f"{k:032x}", name, d) for k, d in enumerate(decisions)])
    lines = [{"image": f"{number}.png", "patient_id": f"p{number}"} for number in range(40)]
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    write_csv(tmp_path / "list.csv", lines)
    ingest(store, "real", corpus_reader("folder", tmp_path, columns=FolderColumns()))
    options = ["--split", "train", "--num-each", "3", "--image-size-px", "32"]
    drawn = ["blind-study", "test-set", "first", "--corpus", "real", "--root", store.root, *options]
    ran = _run(*drawn)
    assert (ran.returncode, ran.stdout) == (0, "blind study first: 6 images to read\n"), ran.stderr
    study = read_study(store, LAYOUT, "first")
    right = {True: ReviewDecision.SYNTHETIC, False: ReviewDecision.REAL}
    append_reviews(table, [decided(i.item_id, "eve", right[i.synthetic]) for i in study.items])

    ran = _run("reviews", "test-set", "--root", store.root)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "test-set: 14 decisions; 3 rejected, 1 kept",
        "  ann and bob, keep or reject: 4 samples, 75.0% alike, kappa 0.50 (95 % -0.23 to 1.00)",
        "  ann and bob, flagged or not: 4 samples, 100.0% alike, kappa undefined: "
        "both said the same of every sample, so chance alone explains it",
        "blind study first: 1 of 1 readers have finished",
        "  eve: accuracy 100.0% (61.0% to 100.0%), sensitivity 100.0% (43.9% to 100.0%), "
        "specificity 100.0% (43.9% to 100.0%); p 0.0312 against chance",
    ]
    found = json.loads(_run("reviews", "test-set", "--root", store.root, "--json").stdout)
    assert found["studies"]["first"]["num_answered"] == {"eve": 6}
