import hashlib
from collections import defaultdict
from pathlib import Path

import pytest

from storage.corpora import Corpus, open_table, read_corpus
from storage.ingestion import corpus_reader, ingest
from storage.layout import corpus_table
from storage.objects import LocalStore
from storage.readers.columns import LABELLED
from storage.readers.rows import Mask
from storage.readers.siim import SiimReader
from storage.records import Split
from tests.storage.readers.made_datasets import SIIM_IMAGES, make_siim
from tests.storage.readers.made_files import make_mimic

LINE = "{image}.png,Mass,{image},{patient},50,M,PA"
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
)
PNG = bytes.fromhex(  # one grey pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c636800000082008177cd72b60000000049454e44ae426082"
)


@pytest.fixture
def corpus(store: LocalStore, tmp_path: Path) -> Corpus:
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    lines = [LINE.format(image=image, patient=image // 3) for image in range(150)]
    (source / "labels.csv").write_text("\n".join([HEADER, *lines]))
    for image in range(150):
        (source / "images" / f"{image}.png").write_bytes(PNG)
    ingest(store, "pictures", corpus_reader("nih", source))
    return read_corpus(store, "pictures")


def test_images_of_the_splits_are_a_partition_by_patient(corpus: Corpus) -> None:
    splits = defaultdict(set)
    images = {split: [image.image_id for image in corpus.images(split)] for split in Split}
    for image in corpus.images():
        splits[image.patient_id].add(image.split)
    listed = [image_id for found in images.values() for image_id in found]
    assert sorted(listed) == sorted(image.image_id for image in corpus.images())
    assert all(len(found) == 1 for found in splits.values())
    assert all(images.values())


def test_images_hash_is_of_the_bytes(corpus: Corpus) -> None:
    image = next(corpus.images())
    assert image.image == PNG
    assert image.sha256 == hashlib.sha256(PNG).hexdigest()


def test_reports_of_an_image_corpus_raise(corpus: Corpus) -> None:
    assert corpus.has_images
    with pytest.raises(ValueError, match="has no reports"):
        next(corpus.reports())


@pytest.fixture
def pairs(store: LocalStore, tmp_path: Path) -> Corpus:
    ingest(store, "mimic", corpus_reader("mimic", make_mimic(tmp_path / "mimic")))
    return read_corpus(store, "mimic")


def test_reports_of_pairs_come_once_though_images_share_them(pairs: Corpus) -> None:
    found = list(pairs.reports())
    assert [report.report_id for report in found] == [
        "s50000002",
        "s50000001",
        "s51000001",
        "s52000001",
    ]
    assert [report.report_id for report in pairs.reports(Split.TEST)] == ["s51000001"]
    assert found[0].impression == "Small effusion in study 50000002."


def test_images_of_pairs_carry_their_report(pairs: Corpus) -> None:
    images = {image.image_id: image for image in pairs.images(Split.TRAIN)}
    assert set(images) == {"aa", "ac", "ad"}
    assert images["ac"].report_id == "s50000002"
    assert images["ac"].impression == "Small effusion in study 50000002."
    assert images["ac"].uncertain_labels == ("Pneumonia",)


def test_has_reports_looks_at_the_split(pairs: Corpus, corpus: Corpus) -> None:
    assert pairs.has_reports()
    assert pairs.has_reports(Split.TEST)
    assert not corpus.has_reports()


def test_read_corpus_unknown_name_raises(store: LocalStore) -> None:
    with pytest.raises(ValueError, match="expected a corpus 'absent'"):
        read_corpus(store, "absent")


@pytest.mark.data
def test_real_openi_archive_splits_and_texts(store: LocalStore, shared_data: Path) -> None:
    report = ingest(store, "openi", corpus_reader("openi", shared_data / "openi"))
    found = read_corpus(store, "openi")
    assert (report.num_rows, report.num_skipped) == (3950, 2)
    assert found.info.licence == "CC BY-NC-ND 4.0"
    sizes = {split: len(list(found.reports(split))) for split in Split}
    assert sum(sizes.values()) == 3950
    assert sizes[Split.TRAIN] / 3950 == pytest.approx(0.7, abs=0.02)
    assert (
        sum(row.findings is not None and row.impression is not None for row in found.reports())
        > 3400
    )


@pytest.mark.data
def test_real_nih_images_boxes_lie_inside(store: LocalStore, shared_data: Path) -> None:
    report = ingest(store, "nih", corpus_reader("nih", shared_data / "nih"))
    assert (report.num_rows, report.num_skipped) == (975, 0)
    images = list(read_corpus(store, "nih").images())
    boxes = [(image, box) for image in images for box in image.boxes]
    assert len(boxes) == 48
    for image, box in boxes:
        assert 0 <= box.x_px < box.x_px + box.width_px <= image.width_px
        assert 0 <= box.y_px < box.y_px + box.height_px <= image.height_px
    splits = defaultdict(set)
    for image in images:
        splits[image.patient_id].add(image.split)
    assert len(splits) == 660
    assert all(len(found) == 1 for found in splits.values())


def test_masks_come_back_with_their_images_alone(store: LocalStore, tmp_path: Path) -> None:
    reader = corpus_reader("siim", make_siim(tmp_path))
    ingest(store, "siim", reader)
    corpus = read_corpus(store, "siim")
    clear, twice, _ = SIIM_IMAGES
    found = {image.image_id: image for image in corpus.images()}
    assert found[clear].masks == ()
    first, second = found[twice].masks
    assert first == Mask("Pneumothorax", (1026, 2, 1022, 4, 1024**2 - 2054))
    assert second.counts[:4] == (0, 1024, 0, 1)
    assert corpus.marked("masks", None) == corpus.marked("boxes", None) == {twice: {"Pneumothorax"}}
    assert corpus.marked("masks", found[twice].split) == {twice: {"Pneumothorax"}}
    other = next(split for split in Split if split is not found[twice].split)
    assert corpus.marked("masks", other) == {}
    assert [image.image_id for image in corpus.images(among=[twice, "unknown"])] == [twice]


def test_corpus_of_before_masks_were_kept_is_read_without(
    store: LocalStore, tmp_path: Path
) -> None:
    class Earlier(SiimReader):
        schema = LABELLED

    ingest(store, "siim", Earlier(make_siim(tmp_path)))
    corpus = read_corpus(store, "siim")
    assert "masks" not in corpus_columns(store, "siim")
    assert {image.masks for image in corpus.images()} == {()}
    assert corpus.marked("masks", None) == {}
    assert list(corpus.marked("boxes", None)) == [SIIM_IMAGES[1]]


def test_corpus_of_a_source_without_masks_has_no_column_of_them(
    store: LocalStore, corpus: Corpus
) -> None:
    assert "masks" not in corpus_columns(store, corpus.name)
    assert next(corpus.images()).masks == ()


def corpus_columns(store: LocalStore, name: str) -> list[str]:
    table = open_table(store, corpus_table(name))
    assert table is not None
    return list(table.schema.names)
