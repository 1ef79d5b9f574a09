"""What people add to a root beside releases: embeddings, decisions, a corpus, blind studies."""

from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from storage.blind_records import BlindStudy, BlindStudyPlan
from storage.blind_study import create_study
from storage.embedding_tables import EmbeddingOrigin, write_embeddings
from storage.ingestion import corpus_reader, ingest
from storage.layout import DatasetLayout
from storage.objects import ObjectStore
from storage.readers.folder_columns import FolderColumns
from storage.releases import Release
from storage.review_records import ReviewDecision
from storage.reviews import append_reviews, review_table
from storage.table_schemas import Lineage
from tests.browser.released import NAME, reference
from tests.storage.made import decided
from tests.storage.readers.made_files import write_csv

REAL = "real"
_LAYOUT = DatasetLayout(NAME)
_DEEP = np.uint16(257)  # of 8 bits to 16


def ingest_scans(store: ObjectStore, source: Path, num_patients: int = 20) -> None:
    """Real images, flat, one a patient, of every kind of file that hospitals have."""
    source.mkdir()
    lines = []
    for number in range(num_patients):
        name = _write_scan(source, number)
        lines.append({"image": name, "patient_id": f"p{number}"})
    write_csv(source / "list.csv", lines)
    ingest(store, REAL, corpus_reader("folder", source, columns=FolderColumns()))


def draw_study(store: ObjectStore, name: str = "first", num_each: int = 3) -> BlindStudy:
    plan = BlindStudyPlan(corpus=REAL, split="train", num_each=num_each, image_size_px=32, seed=5)
    return create_study(store, _LAYOUT, name, plan)


def answer_all(store: ObjectStore, release: Release, study: BlindStudy, reader: str) -> None:
    """Everything rightly."""
    said = {True: ReviewDecision.SYNTHETIC, False: ReviewDecision.REAL}
    answers = [decided(one.item_id, reader, said[one.synthetic]) for one in study.items]
    append_reviews(review_table(store, _LAYOUT, _lineage(release)), answers)


def decide_as_two(store: ObjectStore, release: Release, num_samples: int = 10) -> None:
    """Two reviewers, who differ on every third sample."""
    keep, reject, flag = ReviewDecision.KEEP, ReviewDecision.REJECT, ReviewDecision.FLAG
    ids = [reference(index).sample_id for index in range(num_samples)]
    reviews = [decided(one, "ann", reject if at % 2 else keep) for at, one in enumerate(ids)]
    reviews += [
        decided(one, "bob", (reject if at % 2 else keep) if at % 3 else flag)
        for at, one in enumerate(ids)
    ]
    append_reviews(review_table(store, _LAYOUT, _lineage(release)), reviews)


def embed(store: ObjectStore, release: Release, num_pairs: int) -> None:
    """Embeddings by no model at all."""
    origin = EmbeddingOrigin(
        release.release_id, release.fingerprint, '{"kind": "handcrafted"}', "1", False, False
    )
    vectors_ND = np.random.default_rng(0).normal(size=(num_pairs, 8)).astype(np.float32)
    ids = [reference(index).sample_id for index in range(num_pairs)]
    write_embeddings(store, _LAYOUT, "plain", origin, ids, vectors_ND)


def _lineage(release: Release) -> Lineage:
    return Lineage(release.dataset, release.fingerprint, release.restricted)


def _write_scan(source: Path, number: int) -> str:
    level, size_hw = 10 * number, (60 + number, 48 + 3 * number)
    flat = np.full(size_hw, level, np.uint8)
    path = source / f"scan-{number}.{('png', 'jpg', 'png', 'png', 'png')[number % 5]}"
    match number % 5:
        case 0:  # 16 bits
            Image.fromarray(flat * _DEEP).save(path)
        case 1:  # a JPEG that says which way is up
            exif = Image.Exif()
            exif[0x0112], exif[0x010E] = 1, "a real hospital"
            Image.fromarray(flat).save(path, exif=exif, dpi=(300, 300))
        case 2:  # colour, with transparency
            Image.fromarray(flat).convert("RGBA").save(path)
        case 3:  # a palette
            Image.fromarray(flat).convert("P").save(path)
        case _:  # words, a resolution, a gamma
            words = PngImagePlugin.PngInfo()
            words.add_text("Comment", "a real hospital")
            words.add(b"gAMA", (45455).to_bytes(4, "big"))
            Image.fromarray(flat).save(path, pnginfo=words, dpi=(300, 300))
    return path.name
