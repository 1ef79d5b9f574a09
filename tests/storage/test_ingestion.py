import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest
from PIL import Image

from storage.corpora import read_corpus
from storage.corpus_rows import RowBatches
from storage.errors import StoreUnavailable
from storage.ingestion import corpus_reader, ingest
from storage.objects import LocalStore
from storage.readers import columns, nih
from storage.readers.rows import DEFAULT_FRACTIONS, Skipped, patient_split
from storage.s3 import S3Store
from storage.s3_access import S3Access
from tests.storage.readers.made_files import make_mimic
from tests.storage.seaweed import seaweedfs


@dataclass
class ReportsReader:
    """Made-up reports; may raise after some rows."""

    num_rows: int = 10
    content: str = "a"
    fail_after: int | None = None
    skipped: tuple[Skipped, ...] = ()
    collection: str = "openi"
    licence: str = "CC0"
    schema: pa.Schema = field(default_factory=lambda: columns.REPORTS)
    batch_rows: int = 4
    fractions: tuple[float, float, float] = DEFAULT_FRACTIONS
    restricted: bool = False

    def source_hash(self) -> str:
        return self.content

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        yield from self.skipped
        for number in range(self.num_rows):
            if number == self.fail_after:
                raise ValueError("labels.csv: missing Patient ID")
            texts = dict.fromkeys(columns.SECTIONS, f"text {self.content} {number}")
            yield {
                "report_id": str(number),
                "patient_id": str(number),
                **texts,
                "mesh": ["Opacity/lung"],
                "problems": ["Opacity"],
                "split": patient_split("openi", str(number)),
                "as_it_came": texts,
            }


def test_ingest_rows_licence_and_report_are_stored(store: LocalStore) -> None:
    reader = ReportsReader(skipped=(Skipped("9.xml", "damaged"),))
    report = ingest(store, "mine", reader, restricted=True)
    corpus = read_corpus(store, "mine")
    assert (report.num_rows, report.num_skipped) == (10, 1)
    assert corpus.info.report == report
    assert (corpus.info.licence, corpus.info.restricted) == ("CC0", True)
    assert [row.report_id for row in corpus.reports()] == [str(n) for n in range(10)]


def test_ingest_again_changes_nothing(store: LocalStore) -> None:
    first = ingest(store, "mine", ReportsReader())
    assert ingest(store, "mine", ReportsReader()) == first
    assert len(lance.dataset(store.uri("corpora/mine.lance")).versions()) == 1


@pytest.mark.parametrize(
    "other",
    [ReportsReader(content="b"), ReportsReader(fractions=(0.5, 0.25, 0.25))],
    ids=["source", "fractions"],
)
def test_ingest_other_source_under_the_name_is_refused(
    store: LocalStore, other: ReportsReader
) -> None:
    ingest(store, "mine", ReportsReader())
    with pytest.raises(ValueError, match=r"exists already with .* another name"):
        ingest(store, "mine", other)
    assert read_corpus(store, "mine").num_rows == 10


def test_ingest_reader_that_fails_midway_leaves_nothing_and_its_own_error(
    store: LocalStore,
) -> None:
    with pytest.raises(ValueError, match=r"^labels.csv: missing Patient ID$"):
        ingest(store, "mine", ReportsReader(num_rows=50, fail_after=30))
    with pytest.raises(ValueError, match="found none"):
        read_corpus(store, "mine")
    assert ingest(store, "mine", ReportsReader()).num_rows == 10
    assert read_corpus(store, "mine").num_rows == 10


@dataclass
class KilledReader(ReportsReader):
    """Its process dies in the middle of the rows, as by a power cut."""

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        for row in super().rows():
            if isinstance(row, dict) and row["report_id"] == "30":
                os.kill(os.getpid(), signal.SIGKILL)
            yield row


def test_ingest_killed_midway_is_invisible_and_leaves_no_file_once_done(
    store: LocalStore,
) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=ingest, args=(store, "mine", KilledReader(num_rows=50))
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    store.put("corpora/mine.lance/data/dead/1.blob", b"of an ingest that died")
    with pytest.raises(ValueError, match="found none"):
        read_corpus(store, "mine")
    ingest(store, "mine", ReportsReader(num_rows=50))
    assert len(list(read_corpus(store, "mine").reports())) == 50
    assert len(list(store.list("corpora/mine.lance/data/"))) == 1


def test_ingest_no_readable_row_raises_and_makes_nothing(store: LocalStore) -> None:
    reader = ReportsReader(num_rows=0, skipped=(Skipped("1.xml", "not well-formed"),))
    with pytest.raises(ValueError, match=r"none of 1 \(1.xml: not well-formed\)"):
        ingest(store, "mine", reader)
    assert not Path(store.root).exists()


def test_ingest_skipped_are_counted_by_reason_and_a_common_one_hides_no_other(
    store: LocalStore,
) -> None:
    gone = [Skipped(f"{number}.png", "image file is missing") for number in range(2500)]
    damaged = Skipped("x.png", "image does not decode: cut short")
    report = ingest(store, "mine", ReportsReader(skipped=(*gone, damaged)))
    assert report.num_skipped == 2501
    assert report.num_by_reason == (("image file is missing", 2500), ("image does not decode", 1))
    assert report.skipped[-1] == damaged
    assert len(report.skipped) <= 200
    assert read_corpus(store, "mine").info.report == report


@dataclass
class LargeReader(ReportsReader):
    """Images of 3 MB, far fewer of which may be held than `batch_rows` allows."""

    schema: pa.Schema = field(default_factory=lambda: columns.IMAGES)
    batch_rows: int = 1000
    num_made: int = 0

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        for number in range(self.num_rows):
            self.num_made = number + 1
            yield {
                "image_id": str(number),
                "patient_id": str(number),
                "image": bytes(3 << 20),
                "sha256": "",
                "width_px": 1,
                "height_px": 1,
                "labels": [],
                "view": None,
                "sex": None,
                "age_years": None,
                "follow_up": 0,
                "boxes": [],
                "split": "train",
            }


def test_row_batches_are_cut_by_bytes() -> None:
    reader = LargeReader(num_rows=40)
    batch = next(RowBatches(reader).batches())
    assert batch.num_rows == reader.num_made < 15


def test_ingest_racing_sources_one_wins_whole(store: LocalStore) -> None:
    barrier = threading.Barrier(4)
    outcomes: list[str] = []

    def run(content: str) -> None:
        barrier.wait()
        try:
            ingest(store, "mine", ReportsReader(content=content))
            outcomes.append(content)
        except ValueError:
            outcomes.append("refused")

    threads = [threading.Thread(target=run, args=(content,)) for content in "aabb"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    corpus = read_corpus(store, "mine")
    texts = {str(row.findings).split()[1] for row in corpus.reports()}
    assert corpus.num_rows == 10
    assert texts == {corpus.info.source_sha256}
    assert sorted(outcomes) == sorted([*texts, *texts, "refused", "refused"])


def test_ingest_store_that_refuses_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file where the root should be")
    with pytest.raises(StoreUnavailable) as caught:
        ingest(LocalStore(str(tmp_path / "root")), "mine", ReportsReader())
    assert "\n" not in str(caught.value)


def test_ingest_bad_name_raises(store: LocalStore) -> None:
    with pytest.raises(ValueError, match="corpus name"):
        ingest(store, "My Corpus", ReportsReader())


def test_corpus_reader_unknown_kind_and_missing_source_raise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be one of openi, nih, .*, folder; got 'brax'"):
        corpus_reader("brax", tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        corpus_reader("openi", tmp_path / "absent")
    with pytest.raises(ValueError, match="add to 1"):
        corpus_reader("openi", tmp_path, (0.5, 0.1, 0.1))


def test_ingest_nih_folder_stores_bytes_as_they_came(store: LocalStore, tmp_path: Path) -> None:
    images = tmp_path / "source" / "images"
    images.mkdir(parents=True)
    lines = [",".join(nih.LABEL_COLUMNS)]
    for number in range(5):
        Image.new("L", (40 + number, 30), number).save(images / f"{number}.png")
        lines.append(f"{number}.png,Mass,0,{number % 2},50,M,PA")
    (tmp_path / "source" / "labels.csv").write_text("\n".join(lines))
    ingest(store, "pictures", corpus_reader("nih", tmp_path / "source"))
    found = list(read_corpus(store, "pictures").images())
    assert [image.image_id for image in found] == ["0", "1", "2", "3", "4"]
    assert [image.width_px for image in found] == [40, 41, 42, 43, 44]
    for image in found:
        assert image.image == (images / f"{image.image_id}.png").read_bytes()
    assert len({(image.patient_id, image.split) for image in found}) == 2


@pytest.mark.s3
def test_ingest_into_a_real_s3_server_reads_back(tmp_path: Path) -> None:
    with seaweedfs(tmp_path) as server:
        store = S3Store(f"s3://{server.bucket}/root", S3Access(server.session(), server.endpoint))
        first = ingest(store, "mine", ReportsReader())
        assert ingest(store, "mine", ReportsReader()) == first
        with pytest.raises(ValueError, match="another name"):
            ingest(store, "mine", ReportsReader(content="b"))
        assert [row.report_id for row in read_corpus(store, "mine").reports()] == [
            str(number) for number in range(10)
        ]


@pytest.mark.parametrize("restricted", [None, False])
def test_ingest_mimic_is_restricted_unless_its_user_says_otherwise(
    store: LocalStore, tmp_path: Path, restricted: bool | None
) -> None:
    reader = corpus_reader("mimic", make_mimic(tmp_path / "source"))
    ingest(store, "mimic", reader, restricted=restricted)
    corpus = read_corpus(store, "mimic")
    assert corpus.info.restricted is (restricted is None)
    assert corpus.info.fractions is None
    assert corpus.has_images
    assert ingest(store, "mimic", reader, restricted=restricted) == corpus.info.report


def test_ingest_folder_keeps_licence_and_refuses_options_of_others(
    store: LocalStore, tmp_path: Path
) -> None:
    Image.new("L", (8, 8), 9).save(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("image\na.png\n")
    ingest(store, "mine", corpus_reader("folder", tmp_path, licence="CC0"))
    assert read_corpus(store, "mine").info.licence == "CC0"
    with pytest.raises(ValueError, match="name them for a folder"):
        corpus_reader("nih", tmp_path, licence="CC0")
    with pytest.raises(ValueError, match="official split"):
        corpus_reader("mimic", tmp_path, DEFAULT_FRACTIONS)
