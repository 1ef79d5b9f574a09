from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
import torch

from models.images import decode_png
from models.vlp.data import (
    BlobImages,
    ImagesInMemory,
    ImagesOnDemand,
    PairSource,
    open_images,
    read_texts,
)
from storage.errors import DamagedObject, StoreUnavailable
from storage.records import Split

from .conftest import shape_rows, write_pairs


def some_batches() -> list[np.ndarray]:
    return [np.array([5, 0, 40]), np.array([83, 2, 2]), np.array([1]), np.array([9, 8, 7])]


def test_read_texts_takes_one_split_in_order_of_index(pairs: PairSource) -> None:
    texts = read_texts(pairs, Split.TRAIN)
    expected = [row for row in shape_rows(96) if row["split"] == "train"]
    assert texts.sample_ids == tuple(row["sample_id"] for row in expected)
    assert texts.findings == tuple(row["findings"] for row in expected)
    assert texts.rows.tolist() != sorted(texts.rows.tolist())  # the table is in another order


def test_images_belong_to_their_texts(pairs: PairSource) -> None:
    texts = read_texts(pairs, Split.TRAIN)
    images = BlobImages(pairs, texts, 40)
    png_of = {row["sample_id"]: row["image"] for row in shape_rows(96)}
    for pair in (0, 17, 83):
        png = png_of[texts.sample_ids[pair]]
        assert isinstance(png, bytes)
        np.testing.assert_array_equal(images[pair][0].numpy(), decode_png(png))


def test_spawned_workers_give_the_order_of_this_process(pairs: PairSource) -> None:
    texts = read_texts(pairs, Split.TRAIN)
    here, spawned = (
        list(ImagesOnDemand(BlobImages(pairs, texts, 32), workers).batches(some_batches()))
        for workers in (0, 2)
    )
    memory = open_images(pairs, texts, 32, num_workers=0, memory_limit_mib=64)
    assert isinstance(memory, ImagesInMemory)
    for one, two, three in zip(here, spawned, memory.batches(some_batches()), strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)


def test_open_images_over_the_limit_reads_on_demand(pairs: PairSource) -> None:
    texts = read_texts(pairs, Split.TRAIN)
    assert isinstance(open_images(pairs, texts, 32, 0, memory_limit_mib=0), ImagesOnDemand)


def test_read_texts_split_without_pairs_says_so(pairs: PairSource) -> None:
    with pytest.raises(ValueError, match="must hold validation pairs, got none among 96"):
        read_texts(pairs, Split.VALIDATION)


def test_open_missing_table_names_it(tmp_path: Path) -> None:
    source = PairSource(str(tmp_path / "nowhere.lance"))
    with pytest.raises(StoreUnavailable, match=r"nowhere\.lance") as caught:
        source.open()
    assert "\n" not in str(caught.value)


def test_open_missing_version_names_it(pairs: PairSource) -> None:
    with pytest.raises(StoreUnavailable, match="version 99"):
        PairSource(pairs.uri, 99).open()


def test_read_texts_of_another_table_names_the_columns(tmp_path: Path) -> None:
    lance.write_dataset(pa.table({"index": [1]}), tmp_path / "other.lance")
    with pytest.raises(ValueError, match="lacks sample_id, split, findings, impression, image"):
        read_texts(PairSource(str(tmp_path / "other.lance")), Split.TRAIN)


class _Expired:
    """A table opened with credentials that have run out since."""

    def read_blobs(self, *_: object, **__: object) -> list[object]:
        raise OSError("ExpiredToken")


def test_images_whose_credentials_ran_out_open_the_table_anew(pairs: PairSource) -> None:
    images = BlobImages(pairs, read_texts(pairs, Split.TRAIN), 32)
    fresh = images[3]
    images.__dict__["_table"] = _Expired()
    assert torch.equal(images[3], fresh)


def test_images_out_of_reach_name_the_table(
    pairs: PairSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = BlobImages(pairs, read_texts(pairs, Split.TRAIN), 32)
    monkeypatch.setattr(PairSource, "open", lambda _: _Expired())
    with pytest.raises(StoreUnavailable, match=r"pairs\.lance: .*read: ExpiredToken"):
        images[3]


def test_open_images_damaged_png_names_the_sample(tmp_path: Path) -> None:
    rows = shape_rows(4)
    rows[2]["image"] = b"\x89PNG but no more"
    source = write_pairs(rows, tmp_path / "pairs.lance")
    with pytest.raises(DamagedObject, match=f"sample {2:032x}"):
        open_images(source, read_texts(source, Split.TRAIN), 32, 0, 64)
