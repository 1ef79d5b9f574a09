import io
from pathlib import Path

import pytest
from PIL import Image

from storage.readers.nih import NihReader
from storage.readers.rows import Skipped
from storage.records import Split
from tests.storage.readers.made_datasets import make_nih, read

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
)
BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"


def png(width_px: int = 64, height_px: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width_px, height_px), 90).save(buffer, "PNG")
    return buffer.getvalue()


def make_source(folder: Path, labels: str, boxes: str | None = None, **images: bytes) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "labels.csv").write_text(HEADER + labels)
    if boxes is not None:
        (folder / "bbox.csv").write_text(BOXES + boxes)
    for name, content in images.items():
        (folder / "images" / f"{name}.png").write_bytes(content)
    return folder


def test_rows_describe_an_image(tmp_path: Path) -> None:
    source = make_source(
        tmp_path,
        "a.png,Effusion|Mass,3,17,058Y,F,AP\n",
        "a.png,Infiltrate,512,256,128,1024,,,\n",
        a=png(),
    )
    (row,) = NihReader(source).rows()
    assert isinstance(row, dict)
    assert row["image"] == png()
    assert (row["width_px"], row["height_px"]) == (64, 32)
    assert row["labels"] == ["Effusion", "Mass"]
    assert (row["view"], row["sex"], row["age_years"], row["follow_up"]) == ("AP", "F", 58, 3)
    assert row["boxes"] == [
        {"label": "Infiltration", "x_px": 32, "y_px": 8, "width_px": 8, "height_px": 32}
    ]


def test_rows_no_finding_and_impossible_values_are_empty(tmp_path: Path) -> None:
    source = make_source(tmp_path, "a.png,No Finding,0,17,414,X,LL\n", a=png())
    (row,) = NihReader(source).rows()
    assert isinstance(row, dict)
    assert row["labels"] == []
    assert (row["view"], row["sex"], row["age_years"]) == (None, None, None)


def test_rows_damaged_missing_and_unlisted_images_are_skipped(tmp_path: Path) -> None:
    line = "{}.png,Mass,0,{},50,M,PA\n"
    labels = "".join(line.format(name, name) for name in ("good", "cut", "empty", "gone", "good"))
    labels += "nameless.png,Mass,0,,50,M,PA\n"
    source = make_source(
        tmp_path,
        labels,
        "good.png,Mass,a,b,c,d\nelsewhere.png,Mass,1,2,3,4\n",
        good=png(),
        cut=png(300, 300)[:-30],
        empty=b"",
        nameless=png(),
        unlisted=png(),
    )
    rows = list(NihReader(source).rows())
    assert [row["image_id"] for row in rows if isinstance(row, dict)] == ["good"]
    reasons = {row.member: row.reason for row in rows if isinstance(row, Skipped)}
    assert "does not decode" in reasons["cut.png"]
    assert "does not decode" in reasons["empty.png"]
    assert reasons["gone.png"] == "image file is missing"
    assert "Patient ID is empty" in reasons["nameless.png"]
    assert reasons["unlisted.png"] == "image is not in the label file"
    assert reasons["elsewhere"] == "has boxes but is not in the label file"
    assert "box file" in " ".join(row.reason for row in rows if isinstance(row, Skipped))


def test_rows_missing_column_raises_naming_it(tmp_path: Path) -> None:
    source = make_source(tmp_path, "", a=png())
    (source / "labels.csv").write_text("Image Index,Finding Labels\na.png,Mass\n")
    with pytest.raises(ValueError, match=r"missing Follow-up #, Patient ID"):
        list(NihReader(source).rows())


def test_reader_folder_without_labels_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a folder with labels\.csv"):
        NihReader(tmp_path).source_hash()


def test_reader_folder_without_images_raises(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(HEADER)
    with pytest.raises(ValueError, match="expected images"):
        NihReader(tmp_path).source_hash()


def test_source_hash_changes_with_labels_and_images(tmp_path: Path) -> None:
    first = make_source(tmp_path / "1", "a.png,Mass,0,1,50,M,PA\n", a=png())
    same = make_source(tmp_path / "2", "a.png,Mass,0,1,50,M,PA\n", a=png())
    label = make_source(tmp_path / "3", "a.png,Edema,0,1,50,M,PA\n", a=png())
    image = make_source(tmp_path / "4", "a.png,Mass,0,1,50,M,PA\n", a=png(128, 128))
    hashes = [NihReader(source).source_hash() for source in (first, same, label, image)]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_rows_official_test_list_is_kept_and_its_patients_train_nothing(tmp_path: Path) -> None:
    reader = NihReader(make_nih(tmp_path))
    rows, skipped = read(reader)
    test = {name for name, row in rows.items() if row["split"] is Split.TEST}
    assert test == {"00000001_000", "00000002_000"}
    assert {row["split"] for row in rows.values()} == set(Split)
    why = "image is in neither official list, or its patient in both"
    assert skipped == {"00000002_001.png": why, "00000040_000.png": why}
    assert reader.fractions is None


def test_source_hash_official_lists_count_and_refuse_fractions_and_each_alone(
    tmp_path: Path,
) -> None:
    source = make_nih(tmp_path)
    first = NihReader(source).source_hash()
    with pytest.raises(ValueError, match=r"keeps the official split of test_list\.txt, got"):
        _ = NihReader(source, (0.5, 0.25, 0.25)).fractions
    (source / "test_list.txt").write_text("00000003_000.png")
    assert NihReader(source).source_hash() != first
    (source / "test_list.txt").unlink()
    with pytest.raises(ValueError, match=r"expected both .* got train_val_list\.txt alone"):
        NihReader(source).source_hash()
