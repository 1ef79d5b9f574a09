from pathlib import Path

import pytest

from storage.readers.covidx import CovidxReader
from storage.records import Split
from tests.storage.readers.made_datasets import make_covidx, read

TRAIN = ("7 a.jpg negative cohen", "8 two words.png positive ricord", "9 c.png positive cohen")


def test_rows_of_two_classes_and_patients_within_their_source(tmp_path: Path) -> None:
    source = make_covidx(tmp_path, TRAIN, ["7 t.png positive ricord"])
    rows, skipped = read(CovidxReader(source))
    assert skipped == {}
    assert rows["train/two words"]["labels"] == ["COVID-19"]
    assert rows["train/a"]["labels"] == []
    assert (rows["train/a"]["patient_id"], rows["test/t"]["patient_id"]) == ("cohen/7", "ricord/7")
    assert rows["test/t"]["split"] is Split.TEST
    assert rows["train/a"]["split"] in (Split.TRAIN, Split.VALIDATION)


def test_rows_of_three_classes_and_three_parts(tmp_path: Path) -> None:
    source = make_covidx(
        tmp_path, ["1 a.png pneumonia rsna"], ["2 b.png normal rsna"], ["3 c.png COVID-19 rsna"]
    )
    rows, _ = read(CovidxReader(source))
    assert {row["split"]: row["labels"] for row in rows.values()} == {
        Split.TRAIN: ["Pneumonia"],
        Split.TEST: [],
        Split.VALIDATION: ["COVID-19"],
    }


def test_rows_crossing_patient_bad_line_and_damaged_image_are_skipped(tmp_path: Path) -> None:
    source = make_covidx(tmp_path, [*TRAIN, "10 d.png maybe cohen"], ["9 t.png positive cohen"])
    (source / "train/a.jpg").write_bytes(b"no image")
    rows, skipped = read(CovidxReader(source))
    assert list(rows) == ["test/t", "train/two words"]
    assert skipped["c.png"] == "patient is also in the official validation or test part"
    assert skipped["train.txt line 4"].startswith("line is not patient, file, class (positive")
    assert skipped["a.jpg"].startswith("image does not decode")


def test_source_hash_refuses_another_layout(tmp_path: Path) -> None:
    source = make_covidx(tmp_path, TRAIN, ["1 t.png positive cohen"])
    assert CovidxReader(source).source_hash() == CovidxReader(source).source_hash()
    (source / "train.txt").rename(source / "train_COVIDx8A.txt")
    with pytest.raises(ValueError, match=r"covidx: expected train\.txt in .*train_COVIDx8A\.txt"):
        CovidxReader(source).source_hash()
    (source / "train_COVIDx8A.txt").rename(source / "train.txt")
    for part in ("train", "test"):
        (source / part).rename(source / f"{part}_images")
    with pytest.raises(ValueError, match=r"expected the listed images as train/<file> in"):
        CovidxReader(source).source_hash()
