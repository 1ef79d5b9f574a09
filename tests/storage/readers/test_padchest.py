from pathlib import Path

import numpy as np
import pytest

from models.images import decode_png
from storage.readers.padchest import PadchestReader
from storage.records import Split
from tests.storage.readers.made_datasets import PADCHEST_TABLE, make_padchest, read


def test_rows_keep_the_sources_labels_and_spell_the_findings_alike(tmp_path: Path) -> None:
    rows, _ = read(PadchestReader(make_padchest(tmp_path)))
    row = rows["a"]
    assert row["labels"] == ["Effusion", "mediastinal mass", "Nodule"]
    assert (row["patient_id"], row["sex"], row["age_years"]) == ("p1", "F", 84)
    assert (rows["b"]["labels"], rows["b"]["follow_up"], row["follow_up"]) == ([], 0, 1)
    assert (rows["h"]["view"], row["view"]) == ("AP", "PA")
    pixels = decode_png(row["image"])
    assert (pixels[0] == np.arange(256)).all()  # 16 bits, 0 to 4080, shown over its whole range


def test_rows_patients_of_physicians_labels_are_the_test_set(tmp_path: Path) -> None:
    rows, skipped = read(PadchestReader(make_padchest(tmp_path)))
    assert {name for name, row in rows.items() if row["split"] is Split.TEST} == {"a", "b"}
    assert skipped == {
        "c.png": "labelled by a network, of a patient of the test set",
        "d.png": "lateral view",
        "f.png": "the source gives no labels, or excludes it",
        "g.png": "the source gives no labels, or excludes it",
    }


def test_rows_image_beside_the_table_and_damaged_one(tmp_path: Path) -> None:
    source = make_padchest(tmp_path)
    (source / "0/a.png").rename(source / "a.png")
    content = (source / "0/e.png").read_bytes()
    (source / "0/e.png").write_bytes(content[:-40])
    rows, skipped = read(PadchestReader(source))
    assert list(rows) == ["a", "b", "h"]
    assert skipped["e.png"].startswith("image does not decode")


def test_source_hash_refuses_another_folder_and_one_without_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"expected {PADCHEST_TABLE} or .*found nothing; name"):
        PadchestReader(tmp_path).source_hash()
    source = make_padchest(tmp_path)
    assert PadchestReader(source).source_hash() == PadchestReader(source).source_hash()
    (source / "0").rename(source / "0-54")
    with pytest.raises(ValueError, match=r"expected the listed images as <ImageDir>/<ImageID> in"):
        PadchestReader(source).source_hash()
