from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.readers.folder import FolderReader
from storage.readers.folder_columns import FolderColumns, parse_columns
from storage.readers.rows import Skipped
from tests.storage.readers.made_files import dicom, dicom_bytes, grey, png, ramp, write_csv


def make_source(folder: Path, *lines: dict[str, object]) -> Path:
    """A CSV and an image for each line that names one."""
    for number, line in enumerate(lines):
        path = folder / str(line.get("image", f"{number}.png"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(grey(10 * number))
    return write_csv(folder / "metadata.csv", lines)


def read(
    source: Path, columns: FolderColumns | None = None
) -> tuple[list[dict[str, Any]], list[Skipped]]:
    found = list(FolderReader(source, columns=columns or FolderColumns()).rows())
    rows = [row for row in found if isinstance(row, dict)]
    return rows, [row for row in found if isinstance(row, Skipped)]


def test_rows_default_columns_describe_an_image(tmp_path: Path) -> None:
    line = {
        "image": "p1/a.png",
        "patient_id": "17",
        "text": "INDICATION: ___ cough.\nFINDINGS: Clear lungs.\nIMPRESSION: Normal XXXX chest.",
        "labels": "Edema| Mass;Mass|No Finding",
        "view": "AP Supine",
        "sex": "female",
        "age": "058Y",
    }
    ((row,), skipped) = read(make_source(tmp_path, line))
    assert not skipped
    assert (row["image_id"], row["patient_id"], row["report_id"]) == ("p1/a", "17", "p1/a")
    assert (row["findings"], row["impression"]) == ("Clear lungs.", "Normal chest.")
    assert row["indication"] == "cough."
    assert row["as_it_came"]["impression"] == "Normal XXXX chest."
    assert row["labels"] == ["Edema", "Mass"]
    assert (row["view"], row["sex"], row["age_years"]) == ("AP", "F", 58)


def test_rows_named_columns_and_a_column_for_each_finding(tmp_path: Path) -> None:
    line = {"path": "a.png", "pid": "17", "conclusion": "Edema.", "Edema": "1.0", "Mass": "-1"}
    columns = parse_columns(
        ["image=path", "patient_id=pid", "impression=conclusion", "labels=Edema", "labels=Mass"]
    )
    make_source(tmp_path, {"image": "a.png"})
    ((row,), _) = read(write_csv(tmp_path / "metadata.csv", [line]), columns)
    assert (row["labels"], row["uncertain_labels"]) == (["Edema"], ["Mass"])
    assert (row["impression"], row["patient_id"]) == ("Edema.", "17")


def test_rows_image_alone_has_no_report_and_is_its_own_patient(tmp_path: Path) -> None:
    (rows, _) = read(make_source(tmp_path, {"image": "a.png"}, {"image": "b.png"}))
    assert [row["patient_id"] for row in rows] == ["a", "b"]
    assert rows[0]["report_id"] is rows[0]["findings"] is rows[0]["as_it_came"] is None


def test_rows_report_id_is_shared_within_a_patient_alone(tmp_path: Path) -> None:
    lines = [
        {"image": f"{n}.png", "patient_id": who, "report_id": "study1", "text": "Clear."}
        for n, who in enumerate("aab")
    ]
    (rows, _) = read(make_source(tmp_path, *lines))
    assert [row["report_id"] for row in rows] == ["a/study1", "a/study1", "b/study1"]


def test_rows_deep_inverted_and_dicom_images_read_right(tmp_path: Path) -> None:
    lines = [{"image": name, "inverted": "MONOCHROME1"} for name in ("a.png", "b.png", "c")]
    table = make_source(tmp_path, *lines)
    (tmp_path / "a.png").write_bytes(png(ramp() * 16))
    (tmp_path / "b.png").write_bytes(png(ramp().astype(np.uint8)))
    white = dicom(ramp(), PhotometricInterpretation="MONOCHROME1")
    (tmp_path / "c").write_bytes(dicom_bytes(white))  # says so itself: not turned twice
    (rows, _) = read(table)
    assert len({row["sha256"] for row in rows}) == 1


def test_rows_damaged_missing_double_and_lateral_are_skipped(tmp_path: Path) -> None:
    names = ("good.png", "cut.png", "gone.png", "good.png", "side.png", "")
    lines = [{"image": name, "view": "L" if name == "side.png" else "PA"} for name in names]
    table = make_source(tmp_path, *lines[:-1])
    write_csv(table, lines)
    (tmp_path / "cut.png").write_bytes(grey(side_px=300)[:-40])
    (tmp_path / "gone.png").unlink()
    (rows, skipped) = read(table)
    assert [row["image_id"] for row in rows] == ["good"]
    assert [entry.kind for entry in skipped] == [
        "image does not decode",
        "image file is missing",
        "image is listed before",
        "lateral view",
        "no image path or no patient id",
    ]


@given(patients=st.lists(st.integers(0, 9), min_size=1, max_size=25))
def test_rows_patient_is_in_one_split(
    tmp_path_factory: pytest.TempPathFactory, patients: list[int]
) -> None:
    lines = [{"image": f"{n}.png", "patient_id": who} for n, who in enumerate(patients)]
    (rows, _) = read(make_source(tmp_path_factory.mktemp("source"), *lines))
    assert len({(row["patient_id"], row["split"]) for row in rows}) == len(set(patients))


def test_rows_split_of_the_source_is_kept(tmp_path: Path) -> None:
    splits = ["valid", "Test", "train"]
    lines = [{"image": f"{n}.png", "split": split} for n, split in enumerate(splits)]
    (rows, _) = read(make_source(tmp_path, *lines))
    assert [row["split"] for row in rows] == ["validation", "test", "train"]


def test_source_hash_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    line = {"image": "a.png", "patient_id": "17"}
    table = make_source(tmp_path, line | {"split": "train"}, line | {"split": "test"})
    with pytest.raises(ValueError, match=r"line 3: patient '17' is in test and in train"):
        FolderReader(table).source_hash()


def test_source_hash_changes_with_an_image_and_with_the_columns(tmp_path: Path) -> None:
    table = make_source(tmp_path / "1", {"image": "a.png", "other": "b.png"})
    copy = make_source(tmp_path / "2", {"image": "a.png", "other": "b.png"})
    first = FolderReader(table).source_hash()
    assert FolderReader(copy).source_hash() == first
    other = FolderReader(table, columns=FolderColumns(findings="other")).source_hash()
    (tmp_path / "1" / "a.png").write_bytes(grey(side_px=40))
    assert len({first, other, FolderReader(table).source_hash()}) == 3


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ((), r"expected a column 'image' for image; it has file, sex; .* --column image=NAME"),
        (("image=file", "view=pos"), r"expected a column 'pos' for view; it has file, sex;"),
    ],
)
def test_source_hash_missing_column_is_named_with_those_there(
    tmp_path: Path, columns: tuple[str, ...], line: str
) -> None:
    table = write_csv(tmp_path / "metadata.csv", [{"file": "a.png", "sex": "F"}])
    with pytest.raises(ValueError, match=line):
        FolderReader(table, columns=parse_columns(columns)).source_hash()


def test_source_hash_no_csv_several_or_an_empty_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected one CSV in .* found none"):
        FolderReader(tmp_path).source_hash()
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(ValueError, match="it has no columns at all"):
        FolderReader(tmp_path).source_hash()
    (tmp_path / "b.csv").write_text("image\n")
    with pytest.raises(ValueError, match=r"found a\.csv, b\.csv"):
        FolderReader(tmp_path).source_hash()
    (tmp_path / "c.csv").write_bytes(b"image\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"c\.csv: expected UTF-8"):
        FolderReader(tmp_path / "c.csv").source_hash()


@pytest.mark.parametrize("setting", ["image", "picture=a", "image=", "=a"])
def test_parse_columns_what_is_no_setting_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="ROLE=NAME with one of image, patient_id"):
        parse_columns([setting])
    with pytest.raises(ValueError, match="must come once"):
        parse_columns(["image=a", "image=b"])


@pytest.mark.data
def test_rows_real_notes_with_named_columns(shared_data: Path) -> None:
    columns = parse_columns(["patient_id=patientid", "text=clinical_notes", "labels=finding"])
    table = shared_data / "notes" / "metadata.csv"
    (rows, skipped) = read(table, columns)
    assert (len(rows), skipped) == (129, [])
    assert {row["view"] for row in rows} == {"PA", "AP"}
    assert sum(row["findings"] is not None for row in rows) > 80
    splits = {row["patient_id"]: row["split"] for row in rows}
    assert all(splits[row["patient_id"]] == row["split"] for row in rows)
