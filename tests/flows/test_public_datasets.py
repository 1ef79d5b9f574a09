"""Public datasets as a person brings them in: found by doctor, ingested whole, used downstream."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.cli import _run, app
from flows.ingest import ingest_corpus
from models.downstream.scored_images import scored_images
from models.vocabulary.findings import Finding
from models.vocabulary.label_lists import LabelList, find_label, labels_of
from storage.corpora import read_corpus
from storage.objects import LocalStore
from storage.readers.kinds import CorpusKind
from storage.records import Split
from tasks.evaluation import labelled_images
from tasks.image_scores import decode_scores, encode_scores
from tests.storage.readers.made_datasets import make_chexpert, make_covidx, make_rsna


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


def test_images_of_a_corpus_are_labelled_by_the_list_that_is_named(tmp_path: Path) -> None:
    lines = ["1 a.png COVID-19 cohen", "2 b.png pneumonia rsna", "3 c.png normal rsna"]
    source = make_covidx(tmp_path / "covidx", ["9 z.png normal rsna"], lines)
    root = str(tmp_path / "root")
    ingest_corpus(CorpusKind.COVIDX, str(source), "covidx", root)
    images = read_corpus(LocalStore(root), "covidx").images(Split.TEST)
    found = labelled_images("covid", images, 8, labels_of(LabelList.COVIDX))
    assert {image.shape for image in found.images} == {(8, 8)}
    assert found.findings == (find_label("COVID-19"), Finding.PNEUMONIA)
    assert found.labels_NF.tolist() == [[1, 0], [0, 1], [0, 0]]
    scored = scored_images(found, np.zeros((3, 2)))
    (again,) = decode_scores(encode_scores([scored]), "scores")
    assert again.findings == found.findings
