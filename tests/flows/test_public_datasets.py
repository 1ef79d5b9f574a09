"""Public datasets as a person brings them in: found by doctor, ingested whole, used downstream."""

import json
from pathlib import Path

import pytest

from flows.cli import _run, app
from flows.ingest import ingest_corpus
from storage.corpora import read_corpus
from storage.objects import LocalStore
from storage.readers.kinds import CorpusKind
from storage.records import Split
from tests.storage.readers.made_datasets import make_chexpert, make_rsna


def _call(*words: str) -> int:
    return _run(lambda: app(list(words), standalone_mode=False))


def test_doctor_datasets_says_what_is_here_and_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_rsna(tmp_path / "challenge")
    words = ["doctor", "--datasets", "--folder", str(tmp_path)]
    assert _call(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CorpusKind) - 1
    assert f"present       rsna: cxr-factory ingest rsna {tmp_path}/challenge --name rsna" in lines
    (tmp_path / "padchest").mkdir()
    assert _call(*words, "--json") == 1
    found = json.loads(capsys.readouterr().out)["datasets"]
    (wrong,) = [one for one in found if one["presence"] == "other layout"]
    assert wrong["said"].startswith("expected PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv")


def test_ingest_chexpert_is_restricted_and_keeps_uncertain_labels_and_the_official_split(
    tmp_path: Path,
) -> None:
    source = make_chexpert(tmp_path / "chexpert", with_test=True)
    (source / "train/patient00003/study1/view1_frontal.jpg").write_bytes(b"no image")
    root = str(tmp_path / "root")
    report = ingest_corpus(CorpusKind.CHEXPERT, str(source), "chexpert", root)
    assert (report.num_rows, report.num_skipped) == (5, 2)
    assert dict(report.num_by_reason) == {"lateral view": 1, "image does not decode": 1}
    corpus = read_corpus(LocalStore(root), "chexpert")
    assert (corpus.info.restricted, corpus.info.fractions) == (True, None)
    (test,) = corpus.images(Split.TEST)
    assert (test.patient_id, test.labels) == ("patient64741", ("Edema",))
    stated = {image.image_id: image.uncertain_labels for image in corpus.images(Split.TRAIN)}
    assert stated["train/patient00002/study2/view1_frontal"] == ("Edema",)
