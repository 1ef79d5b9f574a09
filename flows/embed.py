"""Embed a release's images, so that the browser can search by example."""

from typing import Any

from prefect import flow

from flows.plans import Name
from models.encoders.seam import EncoderConfig
from tasks.embedding import embed_images


@flow(name="embed-pairs", flow_run_name="embed {dataset} by {model}")
def embed_pairs(
    dataset: Name,
    model: Name,
    encoder: EncoderConfig,
    root: str = "./factory",
    release: int | None = None,
) -> dict[str, Any]:
    """Put the embeddings of a release's images into `embeddings/<model>.lance` of the dataset.

    Args:
        dataset: A released dataset.
        model: Names the table.
        encoder: What embeds; `factory` and `open_clip` embed texts too.
        root: Folder or s3://bucket/prefix that holds it.
        release: Its number; by default the newest.
    """
    return embed_images(root, dataset, release, model, encoder)
