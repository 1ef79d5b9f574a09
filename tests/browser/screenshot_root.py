"""A copy of a root, with what people add to a dataset: for pictures of pages that show it."""

import random
import shutil
from pathlib import Path

from prefect.logging import disable_run_logger

from models.engines import engine_config
from storage.blind_records import BlindStudy, BlindStudyPlan
from storage.blind_study import create_study
from storage.ingestion import corpus_reader, ingest
from storage.layout import DatasetLayout, Table
from storage.objects import LocalStore
from storage.releases import Release, open_release, open_table
from storage.review_records import Review, ReviewDecision
from storage.reviews import append_reviews, review_table
from storage.table_schemas import Lineage
from tasks.embedding import embed_images
from tests.storage.made import decided

ANN, BOB, STUDY = "Dr. Ann", "Dr. Bob", "first-look"
_CORPUS, _NUM_DECIDED = "nih", 60
_PARTS = ("corpora", "datasets", "models")
_DECISIONS = (ReviewDecision.KEEP, ReviewDecision.REJECT, ReviewDecision.FLAG)


def copy_with_people(root: Path, scratch: Path, dataset: str, scans: Path) -> str:
    """Copy a root; embed its images, let two people decide, and one of them read a blind study.

    Args:
        root: With a release of the dataset.
        scratch: A folder of its own.
        dataset: Its name.
        scans: Real images as the NIH published them.
    """
    for part in _PARTS:
        if (root / part).exists():
            shutil.copytree(root / part, scratch / part)
    store, layout, chance = LocalStore(str(scratch)), DatasetLayout(dataset), random.Random(4)
    release = open_release(store, layout)
    with disable_run_logger():
        embed_images.fn(
            store.root,
            dataset,
            None,
            "handcrafted",
            engine_config("encoders", {"kind": "handcrafted"}),
        )
    ingest(store, _CORPUS, corpus_reader("nih", scans))
    study = _study_with_a_made_image_first(store, layout)
    said = {True: ReviewDecision.SYNTHETIC, False: ReviewDecision.REAL}
    answers = [
        decided(one.item_id, BOB, said[one.synthetic is not (chance.random() < 0.3)])
        for one in study.items
    ]
    table = review_table(store, layout, Lineage(dataset, release.fingerprint, release.restricted))
    append_reviews(table, [*answers, *_decisions(store, release, chance)])
    return store.root


def _study_with_a_made_image_first(store: LocalStore, layout: DatasetLayout) -> BlindStudy:
    """A blind study whose first image for Ann is ours: no patient's is put into the docs."""
    plan = BlindStudyPlan(corpus=_CORPUS, num_each=10, image_size_px=128, seed=1)
    while True:
        study = create_study(store, layout, STUDY, plan)  # its order is by random ids
        if study.item(study.order_of(ANN)[0]).synthetic:
            return study
        store.delete(layout.study(STUDY))


def _decisions(store: LocalStore, release: Release, chance: random.Random) -> list[Review]:
    """Two people who agree on most."""
    pairs = open_table(store, release, Table.PAIRS).to_table(columns=["sample_id"])
    ids = pairs["sample_id"].to_pylist()[:_NUM_DECIDED]
    first = chance.choices(_DECISIONS, (8, 3, 1), k=len(ids))
    second = [
        one if chance.random() < 0.8 else chance.choices(_DECISIONS, (8, 3, 1))[0] for one in first
    ]
    by_ann = (decided(one, ANN, decision) for one, decision in zip(ids, first, strict=True))
    by_bob = (decided(one, BOB, decision) for one, decision in zip(ids, second, strict=True))
    return [*by_ann, *by_bob]
