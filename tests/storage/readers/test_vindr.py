from pathlib import Path

import pytest

from models.images import decode_png
from storage.readers.vindr import VindrReader
from storage.records import Split
from tests.storage.readers.made_datasets import make_vindr, read


def test_rows_labels_by_most_readers_and_boxes_of_the_first(tmp_path: Path) -> None:
    rows, skipped = read(VindrReader(make_vindr(tmp_path)))
    assert (list(rows), skipped) == (["t1", "t2", "e1"], {})
    row = rows["t1"]
    assert row["labels"] == ["Aortic enlargement", "Cardiomegaly"]
    assert row["uncertain_labels"] == ["Nodule/Mass"]
    assert row["boxes"] == [
        {"label": "Cardiomegaly", "x_px": 10, "y_px": 20, "width_px": 20, "height_px": 24.5}
    ]
    assert (row["view"], row["sex"], row["age_years"]) == ("PA", "F", 47)
    assert rows["t2"]["labels"] == ["Other disease"]


def test_rows_official_test_set_is_kept_and_inverted_images_are_upright(tmp_path: Path) -> None:
    rows, _ = read(VindrReader(make_vindr(tmp_path)))
    assert rows["e1"]["split"] is Split.TEST
    assert rows["t1"]["split"] in (Split.TRAIN, Split.VALIDATION)
    assert rows["e1"]["labels"] == ["Effusion"]
    assert [box["label"] for box in rows["e1"]["boxes"]] == ["Effusion", "Effusion"]
    upright, inverted = (decode_png(rows[name]["image"])[0] for name in ("t1", "t2"))
    assert upright[0] < upright[-1]
    assert inverted[0] > inverted[-1]


def test_rows_line_with_a_comma_too_many_is_read(tmp_path: Path) -> None:
    source = make_vindr(tmp_path)
    table = source / "annotations/image_labels_train.csv"
    table.write_text(table.read_text().replace("\n", ",\n").replace(",\n", "\n", 1))
    rows, _ = read(VindrReader(source))
    assert rows["t1"]["labels"] == ["Aortic enlargement", "Cardiomegaly"]


def test_rows_damaged_and_missing_images_are_skipped(tmp_path: Path) -> None:
    source = make_vindr(tmp_path)
    (source / "train/t1.dicom").write_bytes(b"\0" * 200)
    (source / "train/t2.dicom").unlink()
    rows, skipped = read(VindrReader(source))
    assert list(rows) == ["e1"]
    assert skipped["t1"].startswith("image does not decode")
    assert skipped["t2"] == "image file is missing"


def test_source_hash_refuses_another_layout(tmp_path: Path) -> None:
    source = make_vindr(tmp_path)
    assert VindrReader(source).source_hash() == VindrReader(source).source_hash()
    (source / "annotations/image_labels_test.csv").unlink()
    with pytest.raises(ValueError, match=r"vindr: expected annotations/image_labels_test\.csv in"):
        VindrReader(source).source_hash()
