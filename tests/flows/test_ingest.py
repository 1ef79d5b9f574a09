"""Ingest as a person types it: what is kept, what bad input is told, and that it leaves nothing."""

import json
import re
import shutil
from pathlib import Path

import lance
import pytest

from flows.cli import _run, app
from flows.ingest import ingest_corpus
from models.taggers.lexicon import LexiconTagger
from storage.corpora import read_corpus
from storage.objects import LocalStore
from storage.records import Entity, EntityKind
from tests.models.taggers.tiny_classifier import save_classifier
from tests.storage.readers.made_files import grey, make_mimic, write_csv


def _call(*words: str) -> int:
    return _run(lambda: app(list(words), standalone_mode=False))


def test_ingest_folder_by_options_prints_what_was_kept_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "mine" / "list.csv", [{"path": f"{n}.png", "who": n} for n in range(3)])
    for number in range(2):
        (tmp_path / "mine" / f"{number}.png").write_bytes(grey())
    (tmp_path / "mine" / "2.png").write_bytes(b"no image")
    root = str(tmp_path / "root")
    words = ["ingest", "folder", str(tmp_path / "mine"), "--name", "mine", "--root", root]
    words += ["--column", "image=path", "--column", "patient_id=who", "--licence", "CC0"]
    assert _call(*words, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["num_rows"], report["num_skipped"]) == (2, 1)
    assert report["num_by_reason"] == [["image does not decode", 1]]
    assert _call(*words) == 0  # again: found done, said in words
    said = capsys.readouterr().out
    assert "mine: 2 rows, 1 members skipped" in said
    assert "1 skipped, the first 2.png: image does not decode: neither PNG" in said
    info = read_corpus(LocalStore(root), "mine").info
    assert (info.licence, info.restricted) == ("CC0", False)


def test_ingest_mimic_is_restricted_and_its_text_stays_out_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = str(tmp_path / "root")
    with caplog.at_level("DEBUG"):
        ingest_corpus("mimic", str(make_mimic(tmp_path / "mimic")), "mimic", root)
    corpus = read_corpus(LocalStore(root), "mimic")
    assert corpus.info.restricted
    assert "effusion" in " ".join(row.text for row in corpus.entity_counts())
    assert not re.search(r"effusion|cough|50000002", caplog.text)


def _reports(folder: Path, *texts: str | None) -> list[str]:
    """The words of a command that ingests one report a patient, findings alone."""
    lines: list[dict[str, object]] = [
        {"image": f"{number}.png", "patient_id": f"p{number}", "findings": text}
        for number, text in enumerate(texts)
    ]
    write_csv(folder / "list.csv", lines)
    for number in range(len(texts)):
        (folder / f"{number}.png").write_bytes(grey())
    root = str(folder.parent / "root")
    return ["ingest", "folder", str(folder), "--name", "mine", "--root", root]


def test_ingest_shows_how_uneven_the_entities_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["There is a pleural effusion. No pneumothorax."] * 30 + ["Pulmonary edema."] * 6
    words = _reports(tmp_path / "source", *texts)
    assert _call(*words, "--json") == 0
    figures = json.loads(capsys.readouterr().out)["entities"]
    assert figures["tagger"] == "lexicon"
    assert figures["overall"]["num_entities"] == 3
    assert figures["by_kind"].keys() == {"abnormality", "non-abnormality"}
    assert figures["by_kind"]["abnormality"]["share_rare"] == 0.5
    assert _call(*words) == 0
    assert "non-abnormality  1 entities" in capsys.readouterr().out


def test_ingest_absent_section_is_no_word_and_no_entity_keeps_the_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def tag(_tagger: LexiconTagger, texts: list[str]) -> list[tuple[Entity, ...]]:
        read.extend(texts)
        return [() for _ in texts]

    monkeypatch.setattr(LexiconTagger, "tag", tag)
    words = _reports(tmp_path / "source", *["Nothing that is known"] * 20)
    assert _call(*words) == 0
    assert set(read) == {"Nothing that is known."}
    said = capsys.readouterr().out
    assert "mine: 20 rows" in said
    assert "no entity table: no training report that speaks of an entity" in said
    corpus = read_corpus(LocalStore(str(tmp_path / "root")), "mine")
    assert corpus.num_rows == 20
    with pytest.raises(ValueError, match="no entity table"):
        corpus.entity_counts()


def test_ingest_by_a_token_classifier_merges_its_strings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_classifier("bert", tmp_path / "ner")
    texts = ["There is thymic cyst in the left lung base."] * 12 + [
        "The heart shows pneumonia."
    ] * 9
    words = [*_reports(tmp_path / "source", *texts), "--tagger"]
    assert _call(*words, f"{{kind: huggingface, model: {model}}}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["entities"]["tagger"] == "huggingface"
    store = LocalStore(str(tmp_path / "root"))
    found = {row.text: row.kind for row in read_corpus(store, "mine").entity_counts()}
    assert found == {
        "thymic cyst": EntityKind.ABNORMALITY,
        "left lung base": EntityKind.ANATOMY,
        "heart": EntityKind.ANATOMY,
        "pneumonia": EntityKind.DISEASE,
    }
    shutil.rmtree(model)  # a missing model ends the command before anything is read
    assert _call(*words, f"{{kind: huggingface, model: {model}}}") == 1
    assert _one_line(capsys).startswith("cxr-factory: model must be a folder with a config.json")


@pytest.mark.parametrize(
    ("tagger", "line"),
    [
        ("absent", r"--tagger: .*kind must be one of huggingface, lexicon; got 'absent'"),
        ("{kind: lexicon, model: x}", r"--tagger: .*model"),
        ("{kind: [", r"--tagger: not YAML"),
        ("{kind: huggingface, model: clinic/absent}", r"'clinic/absent' is neither a folder nor"),
    ],
)
def test_ingest_bad_tagger_is_one_line(
    tmp_path: Path, tagger: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _reports(tmp_path / "source", "Pneumonia.")
    assert _call(*words, "--tagger", tagger) == 1
    assert re.search(line, _one_line(capsys))
    assert not (tmp_path / "root").exists()


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    return line


def _cut_archive(folder: Path) -> list[str]:
    (folder / "reports.tgz").write_bytes(b"\x1f\x8b\x08" + b"\xff" * 500)
    return ["openi", str(folder / "reports.tgz")]


def _no_column(folder: Path) -> list[str]:
    write_csv(folder / "list.csv", [{"file": "a.png", "age": 5}])
    return ["folder", str(folder)]


def _nothing_decodes(folder: Path) -> list[str]:
    write_csv(folder / "list.csv", [{"image": "a.png"}])
    (folder / "a.png").write_bytes(grey()[:40])
    return ["folder", str(folder)]


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (_cut_archive, r"expected at least one readable row of openi, .*compressed stream damaged"),
        (_no_column, r"list\.csv: expected a column 'image' for image; it has file, age; name"),
        (_nothing_decodes, r"got none of 1 \(a\.png: image does not decode: "),
        (lambda folder: ["folder", str(folder)], r"expected one CSV in .*, found none"),
        (lambda folder: ["mimic", str(folder)], r"expected mimic-cxr-2\.0\.0-split\.csv\.gz in"),
        (lambda folder: ["nih", str(folder)], r"expected a folder with labels\.csv"),
        (lambda folder: ["folder", str(folder / "absent")], r"absent', which does not exist"),
        (lambda folder: ["nih", str(folder), "--column", "image=a"], r"name them for a folder"),
        (lambda folder: ["folder", str(folder), "--column", "a"], r"must be ROLE=NAME with one"),
    ],
    ids=["archive", "column", "images", "empty", "mimic", "nih", "missing", "options", "setting"],
)
def test_ingest_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, made: object, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source").mkdir()
    assert callable(made)
    words = made(tmp_path / "source")
    assert _call("ingest", *words, "--name", "mine", "--root", str(tmp_path / "root")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    said = captured.err.strip().splitlines()[-1]
    assert said.startswith("cxr-factory: ")
    assert re.search(line, said), said
    assert not (tmp_path / "root").exists()


@pytest.mark.data
def test_ingest_real_openi_archive_has_entities_of_training_patients(
    tmp_path: Path, shared_data: Path
) -> None:
    root = str(tmp_path / "root")
    report = ingest_corpus("openi", str(shared_data / "openi"), "openi", root)
    assert (report.num_rows, report.num_skipped) == (3950, 2)
    assert len(read_corpus(LocalStore(root), "openi").entity_counts()) > 100
    assert lance.dataset(f"{root}/corpora/openi.lance").count_rows() == 3950
