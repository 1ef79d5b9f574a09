"""The task that embeds a release's images, so that they can be searched by example."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from models.encoders.seam import ImageEncoder
from models.encoders.shared import open_encoder
from models.encoders.two_towers import TwoTowerConfig
from models.engines import EngineConfig
from models.images import decode_png
from storage.embedding_tables import EmbeddingOrigin, open_embeddings, write_embeddings
from storage.layout import DatasetLayout, Table
from storage.objects import open_store
from storage.releases import Release, open_release, open_table
from storage.tables import lance_errors

BATCH_IMAGES = 128

Matrix = NDArray[np.float32]


@task(name="embed-images", cache_policy=NO_CACHE, persist_result=False)
def embed_images(
    root: str, dataset: str, release_number: int | None, model: str, encoder: EngineConfig
) -> dict[str, Any]:
    """Embed every pair's image of a release; what stands already of it is left as it is.

    Embeddings of images alone are standardised by feature, so that each counts alike; those that
    share a space with texts stay as they are. Held in memory at once: 4 bytes a feature and pair.

    Returns:
        Dataset, model, release and how many images.

    Raises:
        ObjectMissing: If there is no such release.
        EngineUnavailable: If the encoder's weights are missing.
        ValueError: If the release has no pairs.
    """
    store, layout = open_store(root), DatasetLayout(dataset)
    release = open_release(store, layout, release_number)
    origin = _origin(release, encoder)
    said = {
        "dataset": dataset,
        "model": model,
        "release": release.release_id,
        "num_images": release.num_accepted,
    }
    stands = open_embeddings(store, layout, model)
    if stands is not None and stands.origin == origin:
        return said
    if not release.num_accepted:
        raise ValueError(f"expected pairs in {release.release_id} to embed, got none")
    pairs = open_table(store, release, Table.PAIRS)
    with lance_errors(pairs.uri):
        sample_ids = pairs.to_table(columns=["sample_id"])["sample_id"].to_pylist()
    parts = list(_embedded(pairs, len(sample_ids), open_encoder(encoder)))
    vectors_ND = np.concatenate(parts)
    if not origin.embeds_texts:
        vectors_ND = standardised(vectors_ND)
    write_embeddings(store, layout, model, origin, sample_ids, vectors_ND)
    get_run_logger().info("%d images of %s embedded", len(sample_ids), release.release_id)
    return said


def standardised(vectors_ND: Matrix) -> Matrix:
    """Features of mean 0 and deviation 1 over all rows; one that is constant says nothing."""
    scale_D = vectors_ND.std(axis=0)
    return np.asarray(
        (vectors_ND - vectors_ND.mean(axis=0)) / np.where(scale_D > 0, scale_D, 1), np.float32
    )


def _origin(release: Release, encoder: EngineConfig) -> EmbeddingOrigin:
    return EmbeddingOrigin(
        release=release.release_id,
        fingerprint=release.fingerprint,
        encoder=json.dumps(encoder.model_dump(mode="json"), sort_keys=True),
        encoder_revision=encoder.revision(),
        embeds_texts=isinstance(encoder, TwoTowerConfig),
        restricted=release.restricted or encoder.restricted(),
    )


def _embedded(pairs: Any, num_rows: int, encoder: ImageEncoder) -> Iterator[Matrix]:
    for start in range(0, num_rows, BATCH_IMAGES):
        rows = list(range(start, min(start + BATCH_IMAGES, num_rows)))
        with lance_errors(pairs.uri):
            blobs = pairs.read_blobs("image", indices=rows, preserve_order=True)
        yield encoder.embed([decode_png(png or b"") for _, png in blobs])
