from collections.abc import Callable
from pathlib import Path

import pytest

from storage.readers.chexpert import ChexpertReader
from storage.records import Split
from tests.storage.readers.made_datasets import chexpert_line, jpeg, make_chexpert, read
from tests.storage.readers.made_files import write_csv


def test_rows_frontal_images_with_labels_uncertain_apart(tmp_path: Path) -> None:
    rows, skipped = read(ChexpertReader(make_chexpert(tmp_path)))
    assert skipped == {
        "CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg": "lateral view"
    }
    row = rows["train/patient00002/study2/view1_frontal"]
    assert row["labels"] == ["Effusion", "Support Devices"]
    assert row["uncertain_labels"] == ["Edema"]
    assert (row["patient_id"], row["view"], row["sex"]) == ("patient00002", "PA", "M")
    assert (row["age_years"], row["follow_up"], row["width_px"]) == (None, 1, 24)
    assert rows["train/patient00002/study3/view1_frontal"]["follow_up"] == 2
    assert rows["train/patient00001/study1/view1_frontal"]["labels"] == []


def test_rows_validation_part_is_test_where_the_test_set_is_not_held(tmp_path: Path) -> None:
    rows, _ = read(ChexpertReader(make_chexpert(tmp_path)))
    assert rows["valid/patient64541/study1/view1_frontal"]["split"] is Split.TEST
    train = {row["split"] for name, row in rows.items() if name.startswith("train")}
    assert train <= {Split.TRAIN, Split.VALIDATION}


def test_rows_all_three_official_parts_are_kept(tmp_path: Path) -> None:
    rows, _ = read(ChexpertReader(make_chexpert(tmp_path, with_test=True)))
    assert {name.split("/")[0]: row["split"] for name, row in rows.items()} == {
        "test": Split.TEST,
        "valid": Split.VALIDATION,
        "train": Split.TRAIN,
    }
    row = rows["test/patient64741/study1/view1_frontal"]
    assert (row["labels"], row["view"], row["sex"]) == (["Edema"], None, None)


def test_rows_damaged_missing_and_crossing_images_are_skipped(tmp_path: Path) -> None:
    source = make_chexpert(tmp_path)
    (source / "train/patient00001/study1/view1_frontal.jpg").write_bytes(b"\xff\xd8\xff")
    (source / "train/patient00003/study1/view1_frontal.jpg").unlink()
    again = chexpert_line("valid/patient00002/study1/view1_frontal.jpg")
    write_csv(source / "valid.csv", [again, again, chexpert_line("elsewhere.jpg")])
    jpeg(source / "valid/patient00002/study1/view1_frontal.jpg")
    rows, skipped = read(ChexpertReader(source))
    assert list(rows) == ["valid/patient00002/study1/view1_frontal"]
    reasons = {name.removeprefix("CheXpert-v1.0-small/"): why for name, why in skipped.items()}
    assert reasons["valid/patient00002/study1/view1_frontal.jpg"] == "listed before"
    assert reasons["elsewhere.jpg"].startswith("path is not as train/")
    assert "also in the official" in reasons["train/patient00002/study3/view1_frontal.jpg"]
    assert "does not decode" in reasons["train/patient00001/study1/view1_frontal.jpg"]
    assert reasons["train/patient00003/study1/view1_frontal.jpg"] == "image file is missing"


def _no_images(source: Path) -> None:
    (source / "train").rename(source / "elsewhere")
    (source / "valid").rename(source / "elsewhere_too")


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (
            lambda source: (source / "train.csv").unlink(),
            r"^ingest chexpert: expected train\.csv in .*, found train, valid, valid\.csv; name",
        ),
        (
            lambda source: write_csv(source / "valid.csv", [{"Path": "a", "Cardiomegaly": ""}]),
            r"valid\.csv: expected the columns .*; missing Pleural Effusion",
        ),
        (_no_images, r"expected the listed images as train/patient00001/.* but elsewhere, else"),
    ],
    ids=["table", "column", "images"],
)
def test_source_hash_refuses_what_is_not_the_official_layout(
    tmp_path: Path, damage: Callable[[Path], object], line: str
) -> None:
    source = make_chexpert(tmp_path)
    damage(source)
    with pytest.raises(ValueError, match=line):
        ChexpertReader(source).source_hash()


def test_source_hash_changes_with_a_label_and_an_image(tmp_path: Path) -> None:
    source = make_chexpert(tmp_path)
    first = ChexpertReader(source).source_hash()
    assert ChexpertReader(source).source_hash() == first
    (source / "train/patient00001/study1/view1_frontal.jpg").write_bytes(b"other")
    second = ChexpertReader(source).source_hash()
    write_csv(source / "valid.csv", [chexpert_line("valid/patient00009/study1/view1_frontal.jpg")])
    assert len({first, second, ChexpertReader(source).source_hash()}) == 3
