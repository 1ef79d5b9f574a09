"""Samples whose images are like one of them, or like a text, by embeddings made beforehand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from browser.grid import Card, cards
from browser.library import Library
from browser.open_tables import OpenTable
from browser.problems import not_found
from browser.table_index import TableIndex
from models.encoders.seam import ImageTextEncoder
from models.encoders.shared import open_encoder
from models.engines import engine_config
from storage.embedding_tables import Embeddings, Match, Matrix, embedding_models, open_embeddings
from storage.layout import DatasetLayout

MAX_TEXT_CHARS = 500
_loading = Lock()  # of an encoder's weights: two visitors at once need them once


@dataclass(frozen=True, slots=True)
class Model:
    """A model by which a dataset's images were embedded.

    Attributes:
        release: Id of the release whose images these are.
        embeds_texts: Whether one can search by a text.
    """

    name: str
    release: str
    embeds_texts: bool


@dataclass(frozen=True, slots=True)
class FoundCard:
    """A sample that was found, and the cosine of its image with what was asked for."""

    card: Card
    similarity: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        release: Id of the release whose images were searched.
        other_release: Whether that is another than the one looked at.
        num_absent: Images found there that this release does not have.
    """

    model: str
    release: str
    other_release: bool
    num_absent: int
    cards: list[FoundCard]


def models_of(library: Library, dataset: str) -> list[Model]:
    """The models whose embeddings may be shown, by name."""
    store, layout = library.store, DatasetLayout(dataset)
    found = []
    for name in embedding_models(store, layout):
        opened = open_embeddings(store, layout, name)
        if opened is not None and _may_show(library, dataset, opened):
            origin = opened.origin
            found.append(Model(name, origin.release, origin.embeds_texts))
    return found


def has_embeddings(library: Library, dataset: str) -> bool:
    """Whether a dataset's images were embedded by any model, so that one can search by example."""
    return bool(embedding_models(library.store, DatasetLayout(dataset)))


def like_sample(
    library: Library, opened: OpenTable, model: str, sample_id: str, size: int
) -> Found:
    """Samples whose images are most like one's, it itself left out.

    Raises:
        Problem: If there are no embeddings by this model, or they lack the sample.
    """
    embeddings = _embeddings(library, opened, model)
    vector = embeddings.vector_of(sample_id)
    if vector is None:
        raise not_found(
            f"The embeddings by {model[:100]!r} are of {embeddings.origin.release}, which has no "
            f"sample {sample_id[:64]!r}.",
            f"Run cxr-factory embed {opened.release.dataset} again.",
        )
    matches = embeddings.nearest(vector, size + 1)
    others = [one for one in matches if one.sample_id != sample_id]
    return _found(opened, model, embeddings, others[:size])


def like_text(library: Library, opened: OpenTable, model: str, text: str, size: int) -> Found:
    """Samples whose images are most like a text.

    Raises:
        Problem: If there are no embeddings by this model, or it embeds images alone.
        ValueError: If the text is too long.
        EngineUnavailable: If the model's weights are missing, or others than were embedded by.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"expected at most {MAX_TEXT_CHARS} characters, got {len(text)}")
    embeddings = _embeddings(library, opened, model)
    if not embeddings.origin.embeds_texts:
        raise not_found(
            f"{model[:100]!r} embeds images alone.", "Choose a trained run's embeddings."
        )
    vector = _text_vector(opened, model, embeddings, text)
    return _found(opened, model, embeddings, embeddings.nearest(vector, size))


def _text_vector(opened: OpenTable, model: str, embeddings: Embeddings, text: str) -> Matrix:
    config = engine_config("encoders", json.loads(embeddings.origin.encoder))
    if config.revision() != embeddings.origin.encoder_revision:
        raise not_found(
            f"The model {model[:100]!r} has changed since the images were embedded.",
            f"Run cxr-factory embed {opened.release.dataset} again.",
        )
    with _loading:
        encoder: ImageTextEncoder = open_encoder(config)
    vector: Matrix = encoder.embed_texts([text])[0]
    return vector


def _embeddings(library: Library, opened: OpenTable, model: str) -> Embeddings:
    name, found = opened.release.dataset, None
    if model in embedding_models(library.store, DatasetLayout(name)):
        found = open_embeddings(library.store, DatasetLayout(name), model)
    if found is None or not _may_show(library, name, found):
        raise not_found(
            f"There are no embeddings of {name!r} by {model[:100]!r} to show.",
            f"Make some: cxr-factory embed {name} --run RUN.",
        )
    return found


def _may_show(library: Library, dataset: str, embeddings: Embeddings) -> bool:
    return library.settings.may_show(dataset, restricted=embeddings.origin.restricted)


def _found(
    opened: OpenTable, model: str, embeddings: Embeddings, matches: Sequence[Match]
) -> Found:
    similarity = {one.sample_id: one.similarity for one in matches}
    rows = _rows(opened.index, [one.sample_id for one in matches])
    shown = cards(opened, rows)
    return Found(
        model=model,
        release=embeddings.origin.release,
        other_release=embeddings.origin.release != opened.release.release_id,
        num_absent=len(matches) - len(rows),
        cards=[FoundCard(one, similarity[one.sample_id]) for one in shown],
    )


def _rows(index: TableIndex, sample_ids: Sequence[str]) -> list[int]:
    """The rows of those samples that a table has, in the order of the ids."""
    words = np.array([int(one[:16], 16) for one in sample_ids], np.uint64)
    candidates = np.flatnonzero(np.isin(index.sample_NW[:, 0], words)).tolist()
    row_of = {index.sample_id(row): row for row in candidates}
    return [row_of[one] for one in sample_ids if one in row_of]
