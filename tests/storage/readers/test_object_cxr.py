from pathlib import Path

import pytest

from storage.readers.object_cxr import ObjectCxrReader, object_box
from storage.readers.rows import Box
from storage.records import Split
from tests.storage.readers.made_datasets import make_object_cxr, read

LABEL = "Foreign Object"


def test_rows_have_a_box_an_object_and_the_official_parts(tmp_path: Path) -> None:
    rows, skipped = read(ObjectCxrReader(make_object_cxr(tmp_path)))
    assert list(rows) == ["train/1", "train/2", "dev/1"]
    assert skipped == {"3.jpg": "annotation: expected a type and pairs of x and y, got 2 numbers"}
    assert [row["labels"] for row in rows.values()] == [[], [LABEL], [LABEL]]
    assert rows["train/2"]["boxes"] == [
        {"label": LABEL, "x_px": 1, "y_px": 2, "width_px": 4, "height_px": 6},
        {"label": LABEL, "x_px": 3, "y_px": 3, "width_px": 6, "height_px": 4},
    ]
    assert rows["dev/1"]["split"] is Split.TEST  # the test set is not held


def test_rows_with_the_test_set_keep_all_parts(tmp_path: Path) -> None:
    source = make_object_cxr(tmp_path, with_test=True)
    table = source / "dev.csv"
    table.write_text(table.read_text().replace("image_name", "image_path").replace("1.j", "/x/1.j"))
    (source / "train/1.jpg").write_bytes(b"no image")
    rows, skipped = read(ObjectCxrReader(source))
    assert {name: row["split"] for name, row in rows.items()} == {
        "train/2": Split.TRAIN,
        "dev/1": Split.VALIDATION,
        "test/9": Split.TEST,
    }
    assert skipped["1.jpg"].startswith("image does not decode")


def test_object_box_surrounds_a_polygon() -> None:
    assert object_box("2 10 4 20 6 12 15") == Box(LABEL, 10, 4, 10, 11)
    with pytest.raises(ValueError, match="expected a type"):
        object_box("3 1 2 3 4")


def test_source_hash_refuses_another_layout(tmp_path: Path) -> None:
    source = make_object_cxr(tmp_path)
    assert ObjectCxrReader(source).source_hash() == ObjectCxrReader(source).source_hash()
    for part in ("train", "dev"):
        (source / part).rename(source / f"{part}.zip")
    with pytest.raises(ValueError, match=r"expected the listed images as train/<image> in"):
        ObjectCxrReader(source).source_hash()
    (source / "dev.csv").unlink()
    with pytest.raises(ValueError, match=r"object-cxr: expected dev\.csv in .*found dev\.zip"):
        ObjectCxrReader(source).source_hash()
