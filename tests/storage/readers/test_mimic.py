import gzip
from pathlib import Path

import numpy as np
import pytest

from storage.readers.mimic import MimicReader
from storage.readers.rows import Skipped
from tests.storage.readers.made_files import dicom, dicom_bytes, make_mimic, ramp, write_csv

STUDY = "files/p10/p10000032/s50000002"


def read(source: Path) -> tuple[dict[str, dict[str, object]], dict[str, str]]:
    """Rows by image id, and reasons by what was skipped."""
    found = list(MimicReader(source).rows())
    rows = {str(row["image_id"]): row for row in found if isinstance(row, dict)}
    return rows, {row.member: row.reason for row in found if isinstance(row, Skipped)}


@pytest.mark.parametrize("zipped", [True, False])
def test_rows_frontal_images_with_report_labels_and_official_split(
    tmp_path: Path, zipped: bool
) -> None:
    rows, skipped = read(make_mimic(tmp_path, zipped=zipped))
    assert list(rows) == ["aa", "ac", "ad", "ba", "ca"]
    assert skipped == {"ab": "other view than AP or PA"}
    row = rows["aa"]
    assert (row["patient_id"], row["view"], row["split"]) == ("10000032", "PA", "train")
    assert (rows["ba"]["split"], rows["ca"]["split"]) == ("test", "validation")
    assert row["labels"] == ["Effusion"]
    assert row["uncertain_labels"] == ["Pneumonia"]
    assert row["report_id"] == rows["ac"]["report_id"] == "s50000002"
    assert row["impression"] == "Small effusion in study 50000002."
    assert str(row["findings"]).endswith("Compared with, the heart is normal.")
    assert "___" in str(row["as_it_came"])
    assert [rows[image]["follow_up"] for image in ("ad", "aa", "ac")] == [0, 1, 1]


def test_rows_damaged_images_and_reports_are_skipped_with_reasons(tmp_path: Path) -> None:
    source = make_mimic(tmp_path, zipped=False)
    (source / STUDY / "aa.jpg").write_bytes(b"\xff\xd8\xff")
    (source / STUDY / "ac.jpg").unlink()
    (source / "mimic-cxr-reports/files/p11/p11000011/s51000001.txt").unlink()
    rows, skipped = read(source)
    assert list(rows) == ["ad", "ba", "ca"]
    assert rows["ba"]["report_id"] is None
    assert skipped["aa.jpg"].startswith("image does not decode")
    assert (skipped["ac"], skipped["s51000001"]) == ("image file is missing", "report is missing")


def test_rows_of_the_dicom_files_of_the_same_layout(tmp_path: Path) -> None:
    source = make_mimic(tmp_path)
    (source / STUDY / "aa.jpg").unlink()
    (source / STUDY / "aa.dcm").write_bytes(
        dicom_bytes(dicom(ramp(), PhotometricInterpretation="MONOCHROME1"))
    )
    rows, _ = read(source)
    assert rows["aa"]["width_px"] == 256
    assert bytes(rows["aa"]["image"]).startswith(b"\x89PNG")  # type: ignore[call-overload]


def test_source_hash_changes_with_a_report_and_an_image(tmp_path: Path) -> None:
    source = make_mimic(tmp_path, zipped=False)
    first = MimicReader(source).source_hash()
    assert MimicReader(source).source_hash() == first
    (source / "mimic-cxr-reports/files/p11/p11000011/s51000001.txt").write_text("IMPRESSION: no.")
    second = MimicReader(source).source_hash()
    (source / STUDY / "aa.jpg").write_bytes(b"other")
    assert len({first, second, MimicReader(source).source_hash()}) == 3


def break_split_table(source: Path) -> None:
    path = source / "mimic-cxr-2.0.0-split.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])


def break_split_of_a_patient(source: Path) -> None:
    line = {"dicom_id": "x", "study_id": "1", "subject_id": "17"}
    path = source / "mimic-cxr-2.0.0-split.csv.gz"
    write_csv(path, [line | {"split": "train"}, line | {"split": "test"}])


def remove_column(source: Path) -> None:
    path = source / "mimic-cxr-2.0.0-metadata.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"View", b"V")))


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (break_split_table, r"split\.csv\.gz: damaged: .*download"),
        (break_split_of_a_patient, r"patient 17 is in test and in train"),
        (remove_column, r"got dicom_id, .*VPosition.*; missing ViewPosition"),
        (lambda source: (source / "mimic-cxr-reports.zip").unlink(), "expected the reports as"),
        (lambda source: (source / "mimic-cxr-reports.zip").write_bytes(b"PK"), "damaged: .* zip"),
        (lambda source: (source / "files").rename(source / "elsewhere"), "expected images as"),
        (lambda source: next(source.glob("*chexpert*")).unlink(), "expected mimic-.*chexpert"),
    ],
)
def test_source_hash_refuses_what_is_not_the_official_layout(
    tmp_path: Path, damage: object, line: str
) -> None:
    source = make_mimic(tmp_path)
    assert callable(damage)
    damage(source)
    with pytest.raises(ValueError, match=line):
        MimicReader(source).source_hash()


def test_rows_damaged_member_of_the_zip_is_skipped_and_its_images_kept(tmp_path: Path) -> None:
    source = make_mimic(tmp_path)
    path = source / "mimic-cxr-reports.zip"
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8).copy()
    at = bytes(content).index(b"Small effusion in study 51000001")
    content[at : at + 5] ^= 255
    path.write_bytes(content.tobytes())
    rows, skipped = read(source)
    assert skipped["s51000001"] == "report cannot be read: its zip is damaged here"
    assert rows["ba"]["findings"] is None
    assert rows["ca"]["findings"] is not None
