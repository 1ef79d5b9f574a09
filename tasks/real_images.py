"""The nearest_real gate's tasks: the training images of a corpus in a table, and its thresholds."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import islice
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.encoders.seam import ImageEncoder, Matrix, Pixels
from models.engines import EngineConfig
from models.gates.calibration_rules import CalibrationRules
from models.gates.examples import ImageExample, disturbed, spoiled_examples
from models.images import decode_png
from storage.corpora import Corpus, read_corpus
from storage.identity import canonical_json
from storage.layout import corpus_table
from storage.objects import open_store
from storage.records import Split
from storage.tables import table_exists
from tasks.image_sources import CorpusImages, evenly, read_examples, shrunk
from tasks.settle import code_version
from tasks.training import update_metrics

BATCH_IMAGES = 64
NUM_PER_KIND = 10  # spoiled images of each kind that the far threshold is tried on


@task(name="embed-training-images", cache_policy=NO_CACHE, persist_result=False)
def embed_training_images(root: str, corpus: str, encoder: EngineConfig) -> str:
    """Write the embeddings of a corpus's training images beside it, or find them there.

    All embeddings are held at once: 4 bytes a feature and image.

    Returns:
        Where the table lies.

    Raises:
        ValueError: If there is no such corpus, or it has no images of training patients.
    """
    from models.gates.real_images import RealImagesOrigin, content_hash, write_real_images

    store = open_store(root)
    source, revision = read_corpus(store, corpus), encoder.revision()
    key = real_images_key(source, encoder.kind, revision)
    if table_exists(store, key):
        return store.uri(key)
    parts = list(_embedded(source, encoder.open()))
    ids = [image_id for some, _ in parts for image_id in some]
    embeddings = np.concatenate([rows for _, rows in parts] or [np.empty((0, 0), np.float32)])
    origin = RealImagesOrigin(
        encoder=encoder.kind,
        encoder_revision=revision,
        corpus=corpus,
        restricted=source.info.restricted,
        content_sha256=content_hash(ids, embeddings),
    )
    write_real_images(store.uri(key), ids, embeddings, origin, store.storage_options)
    return store.uri(key)


@task(name="calibrate-nearest-real", cache_policy=NO_CACHE, persist_result=False)
def calibrate_nearest_real(
    root: str, run: str, corpus: str, index: str, encoder: EngineConfig, rules: CalibrationRules
) -> dict[str, Any]:
    """Choose both distances on images of validation patients; writes the run's `metrics.json`.

    Raises:
        ValueError: If there are too few of them.
    """
    from models.gates.real_images import RealImages
    from models.gates.thresholds import calibrate_distances

    store, real, opened = open_store(root), RealImages(index), encoder.open()
    others = validation_images(read_corpus(store, corpus), rules)
    trained = read_examples(store, CorpusImages(corpus=corpus), rules, good=True).examples
    random = np.random.default_rng([rules.seed, 2])
    copies = [disturbed(one.pixels_HW, random) for one in trained[: len(others)]]
    spoiled = spoiled_examples(others, NUM_PER_KIND, rules.seed)

    def distances(images: Sequence[Pixels]) -> Matrix:
        found = real.nearest(opened.embed(images), [""] * len(images))
        return np.array([one.distance for one in found], np.float32)

    figures = calibrate_distances(
        distances([one.pixels_HW for one in others]),
        [one.patient_id for one in others],
        distances(copies),
        distances([one.pixels_HW for one in spoiled]),
        rules.acceptance,
        rules.seed,
    )
    metrics = {
        "run": run,
        "gate": {
            "kind": "nearest_real",
            "index": index,
            "encoder": encoder.model_dump(mode="json"),
            "min_distance": round(figures.min_distance, 6),
            "max_distance": round(figures.max_distance, 6),
        },
        "held_out": asdict(figures),
        "origin": asdict(real.origin),
        "code_version": code_version(),
    }
    return update_metrics(store, run, metrics)


def _embedded(source: Corpus, encoder: ImageEncoder) -> Iterator[tuple[list[str], Matrix]]:
    """Ids and embeddings of the training images, a batch at a time."""
    images = source.images(Split.TRAIN)
    while batch := list(islice(images, BATCH_IMAGES)):
        pixels = [decode_png(image.image) for image in batch]
        yield [image.image_id for image in batch], encoder.embed(pixels)


def validation_images(corpus: Corpus, rules: CalibrationRules) -> list[ImageExample]:
    """Images of patients who are in no table and train nothing, spread evenly over the corpus."""
    images = evenly(corpus.images(Split.VALIDATION), corpus.num_rows, rules.max_images)
    return [
        ImageExample(one.patient_id, "", shrunk(one.image, rules.max_side_px)) for one in images
    ]


def real_images_key(corpus: Corpus, encoder: str, encoder_revision: str) -> str:
    """Where the embeddings of a corpus's training images lie: beside it, one table an encoder."""
    pinned = canonical_json([corpus.info.source_sha256, corpus.version, encoder_revision])
    name = corpus_table(corpus.name).removesuffix(".lance")
    return f"{name}.real-{encoder}-{sha256(pinned).hexdigest()[:12]}.lance"
