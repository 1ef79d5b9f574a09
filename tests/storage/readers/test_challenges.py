"""RSNA and SIIM: images of ChestX-ray14 that challenges labelled anew."""

from pathlib import Path

import pytest

from storage.readers.rows import patient_split
from storage.readers.rsna import RsnaReader
from storage.readers.siim import SIDE_PX, SiimReader
from tests.storage.readers.made_datasets import (
    RSNA_IMAGES,
    SIIM_IMAGES,
    make_rsna,
    make_siim,
    radiograph,
    read,
)

NORMAL, OPACITY, OTHER, LATERAL = RSNA_IMAGES
CLEAR, TWICE, BROKEN = SIIM_IMAGES


def test_rsna_rows_have_boxes_and_patients_of_chestxray14(tmp_path: Path) -> None:
    rows, skipped = read(RsnaReader(make_rsna(tmp_path)))
    assert list(rows) == [NORMAL, OPACITY, OTHER]
    assert skipped == {LATERAL: "lateral view"}
    assert rows[NORMAL]["labels"] == []
    assert rows[OPACITY]["labels"] == ["Pneumonia"]
    assert rows[OTHER]["labels"] == ["No Lung Opacity / Not Normal"]  # must not pass for normal
    assert [box["x_px"] for box in rows[OPACITY]["boxes"]] == [264, 562]
    assert rows[OPACITY]["boxes"][0]["height_px"] == 379
    assert rows[NORMAL]["patient_id"] == rows[OPACITY]["patient_id"] == "17"
    assert {rows[name]["split"] for name in (NORMAL, OPACITY)} == {patient_split("nih", "17")}
    row = rows[OTHER]
    assert (row["view"], row["sex"], row["age_years"], row["width_px"]) == ("AP", "M", 51, 64)


def test_rsna_image_that_does_not_decode_or_has_no_patient_is_skipped(tmp_path: Path) -> None:
    source = make_rsna(tmp_path)
    path = source / "stage_2_train_images" / f"{NORMAL}.dcm"
    path.write_bytes(path.read_bytes()[:400])
    mapping = next(source.glob("*.json"))
    mapping.write_text(mapping.read_text().replace(OTHER, "another"))
    rows, skipped = read(RsnaReader(source))
    assert list(rows) == [OPACITY]
    assert skipped[NORMAL].startswith("image does not decode")
    assert skipped[OTHER] == "image is not in the mapping to patients"


def test_rsna_source_hash_asks_for_the_mapping_to_patients(tmp_path: Path) -> None:
    source = make_rsna(tmp_path)
    assert RsnaReader(source).source_hash() == RsnaReader(source).source_hash()
    mapping = next(source.glob("*.json"))
    mapping.write_text("{}[")
    with pytest.raises(ValueError, match=r"mappings_2018\.json: expected a list of subset_img_id"):
        RsnaReader(source).source_hash()
    mapping.unlink()
    with pytest.raises(ValueError, match=r"expected pneumonia-.*json in .*found stage_2_.*RSNA's"):
        RsnaReader(source).source_hash()


def test_rsna_box_that_is_no_box_is_said_with_its_image(tmp_path: Path) -> None:
    source = make_rsna(tmp_path)
    table = source / "stage_2_train_labels.csv"
    table.write_text(table.read_text().replace("264.0", "left"))
    with pytest.raises(ValueError, match=rf"labels\.csv: {OPACITY}: expected a box as four number"):
        RsnaReader(source).source_hash()


@pytest.mark.parametrize("second_stage", [False, True])
def test_siim_rows_have_a_mask_a_line_and_the_box_around_it(
    tmp_path: Path, second_stage: bool
) -> None:
    rows, skipped = read(SiimReader(make_siim(tmp_path, second_stage=second_stage)))
    assert list(rows) == [CLEAR, TWICE]
    assert [rows[CLEAR][key] for key in ("labels", "boxes", "masks")] == [[], [], []]
    assert rows[TWICE]["labels"] == ["Pneumothorax"]
    first, second = rows[TWICE]["boxes"]
    assert first == {"label": "Pneumothorax", "x_px": 1, "y_px": 2, "width_px": 2, "height_px": 4}
    assert (second["width_px"], second["height_px"]) == (2, SIDE_PX), "on into the next column"
    whole = SIDE_PX**2
    assert [mask["counts"] for mask in rows[TWICE]["masks"]] == [
        (1026, 2, 1022, 4, whole - 2054),
        (0, 1024, 0, 1, whole - 1025),
    ]
    assert {mask["label"] for mask in rows[TWICE]["masks"]} == {"Pneumothorax"}
    assert (rows[TWICE]["view"], rows[TWICE]["sex"], rows[TWICE]["age_years"]) == ("PA", "F", 60)
    assert skipped == {BROKEN: "mask: expected pairs of offset and length, got 1 numbers"}


def test_siim_mask_that_is_not_of_its_image_is_skipped_with_it(tmp_path: Path) -> None:
    source = make_siim(tmp_path, second_stage=True)
    table = source / "stage_2_train.csv"
    table.write_text(table.read_text().replace(f"{BROKEN},7", f"{BROKEN},1048000 577"))
    (source / "stage_2_images" / f"{TWICE}.dcm").write_bytes(radiograph(ViewPosition="PA"))
    rows, skipped = read(SiimReader(source))
    assert list(rows) == [CLEAR]
    assert skipped[BROKEN] == "mask: expected runs within 1024 x 1024 px, got 1 px beyond"
    assert skipped[TWICE] == (
        "mask is of another size than its image: of 1048576 px, the image of 64 x 48"
    )


def test_siim_source_hash_refuses_another_layout(tmp_path: Path) -> None:
    source = make_siim(tmp_path)
    assert SiimReader(source).source_hash() == SiimReader(source).source_hash()
    table = source / "train-rle.csv"
    text = table.read_text()
    table.write_text(text.replace("EncodedPixels", "Mask"))
    with pytest.raises(ValueError, match=r"train-rle\.csv: expected the columns .*EncodedPixels"):
        SiimReader(source).source_hash()
    table.write_text(text)
    (source / "dicom-images-train").rename(source / "images")
    with pytest.raises(ValueError, match=r"expected the listed images as dicom-images-train/"):
        SiimReader(source).source_hash()
    table.unlink()
    with pytest.raises(ValueError, match=r"expected train-rle\.csv or stage_2_train\.csv in"):
        SiimReader(source).source_hash()
