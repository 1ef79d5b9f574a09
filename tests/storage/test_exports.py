import errno
import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import storage.export_formats
from storage.choice import Choice
from storage.errors import DamagedObject, StoreFull
from storage.export_formats import ExportFormat
from storage.exports import export_pairs
from storage.objects import LocalStore
from storage.records import NOT_FOR_CLINICAL_USE
from storage.releases import Release
from tests.storage.made import UNIT_SIZE, png, released_pairs

NUM_PAIRS = 3 * UNIT_SIZE


@pytest.fixture
def release(store: LocalStore) -> Release:
    """Units landed in another order than their index."""
    return released_pairs(store)


def _some(release: Release) -> Choice:
    return Choice(release, frozenset(f"{index:032x}" for index in range(0, NUM_PAIRS, 2)), "{}")


def test_export_parquet_has_pairs_in_order_with_images_and_origin(
    store: LocalStore, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.exports.BATCH_ROWS", 2)
    monkeypatch.setattr(storage.export_formats, "BATCH_ROWS", 2)
    monkeypatch.setattr(storage.export_formats, "BATCHES_PER_FILE", 3)
    exported = export_pairs(
        store, Choice(release, None, ""), ExportFormat.PARQUET, tmp_path / "out"
    )
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == [
        "export.json",
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    table = pq.read_table([tmp_path / "out" / name for name in files[1:]])
    assert table["index"].to_pylist() == list(range(NUM_PAIRS))
    for row in table.to_pylist():
        assert row["image"] == {"bytes": png(row["index"]), "path": f"{row['sample_id']}.png"}
        assert row["findings"] == f"Findings {row['index']}."
        assert row["painted"]["engine"] == "grammar"
        assert (row["notice"], row["restricted"]) == (NOT_FOR_CLINICAL_USE, True)
    assert table.schema.metadata[b"restricted"] == b"true"
    said = json.loads((tmp_path / "out/export.json").read_text())
    assert said["release"] == exported.release == "test-set@1"
    assert (said["restricted"], said["num_pairs"]) == (True, {"train": NUM_PAIRS})


def test_export_hf_has_a_card_and_says_which_column_is_the_image(
    store: LocalStore, release: Release, tmp_path: Path
) -> None:
    export_pairs(store, _some(release), ExportFormat.HF, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    _, header, text = card.split("---\n")
    assert yaml.safe_load(header)["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*.parquet"}
    ]
    assert NOT_FOR_CLINICAL_USE in text and "credentialed" in text
    schema = pq.read_schema(tmp_path / "out/data/train-00000-of-00001.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == schema.names
    assert features["image"] == {"_type": "Image"}
    assert features["scores"]["feature"]["value"] == {"dtype": "float64", "_type": "Value"}


def test_export_webdataset_has_png_report_and_json_of_what_was_chosen(
    store: LocalStore, release: Release, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        export_pairs(store, _some(release), ExportFormat.WEBDATASET, tmp_path / name)
    one, two = (tmp_path / name / "train-000000.tar" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as tar:
        names = tar.getnames()
        held = {name: (tar.extractfile(name) or io.BytesIO()).read() for name in names}
    ids = [f"{index:032x}" for index in range(0, NUM_PAIRS, 2)]
    assert names == [f"{one}.{kind}" for one in ids for kind in ("json", "png", "txt")]
    first = json.loads(held[f"{ids[1]}.json"])
    assert (first["index"], first["restricted"]) == (2, True)
    assert held[f"{ids[1]}.png"] == png(2)
    assert held[f"{ids[1]}.txt"].decode() == "FINDINGS: Findings 2.\nIMPRESSION: Impression 2.\n"


def test_export_folder_has_an_image_and_a_line_for_each(
    store: LocalStore, release: Release, tmp_path: Path
) -> None:
    export_pairs(store, _some(release), ExportFormat.FOLDER, tmp_path / "out")
    lines = (tmp_path / "out/train/metadata.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(0, NUM_PAIRS, 2))
    for line in map(json.loads, lines):
        with Image.open(tmp_path / "out/train" / line["file_name"]) as image:
            assert image.size == (line["width_px"], line["height_px"])


def test_export_over_what_exists_or_nowhere_is_refused(
    store: LocalStore, release: Release, tmp_path: Path
) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "precious").write_text("x")
    for where, message in ((target, "exists; name another"), (tmp_path / "a/b", "is none")):
        with pytest.raises(ValueError, match=message):
            export_pairs(store, _some(release), ExportFormat.PARQUET, where)
    assert [path.name for path in target.iterdir()] == ["precious"]


def test_export_of_a_damaged_image_leaves_nothing(store: LocalStore, tmp_path: Path) -> None:
    release = released_pairs(store, sha256="0" * 64)
    with pytest.raises(DamagedObject, match=r"image of sample 0+: expected sha256"):
        export_pairs(store, _some(release), ExportFormat.PARQUET, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_export_to_a_full_disk_is_one_line_and_leaves_nothing(
    store: LocalStore, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreFull, match="the disk or quota is full; free space"):
        export_pairs(store, _some(release), ExportFormat.FOLDER, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
