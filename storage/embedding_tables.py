"""Embeddings of a release's images in a Lance table beside it, and the nearest of them.

A table is made from one release and says which; it is written whole or not at all.
Shape suffixes: N rows, D features.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import lance
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.corpora import open_table
from storage.errors import DamagedObject
from storage.layout import DatasetLayout
from storage.objects import ObjectStore
from storage.records import NOT_FOR_CLINICAL_USE
from storage.tables import lance_errors

INDEX_FROM_ROWS = 10_000  # below, every row is compared: exact, and as quick
_KEY = b"cxr_factory.embeddings"
_VECTOR, _SAMPLE = "vector", "sample_id"
_PROBES, _REFINE = 20, 10  # partitions looked into, candidates compared exactly per match
_FEATURES_A_CODE = 8  # of the product quantiser
_SUFFIX = ".lance"

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingOrigin:
    """What a table of embeddings was made of.

    Attributes:
        release: Id of the release whose images these are, `<dataset>@<number>`.
        fingerprint: Of the dataset's plan.
        encoder: Its settings as JSON, from which it is opened again.
        encoder_revision: Of its weights or rules.
        embeds_texts: Whether texts lie in the same space.
        restricted: Release or encoder derives from credentialed data.
    """

    release: str
    fingerprint: str
    encoder: str
    encoder_revision: str
    embeds_texts: bool
    restricted: bool


class Match(NamedTuple):
    """A sample near to what was asked for, and its cosine with it, -1 to 1."""

    sample_id: str
    similarity: float


class Embeddings:
    """One table of embeddings, opened."""

    def __init__(self, dataset: lance.LanceDataset) -> None:
        self._dataset = dataset
        try:
            self.origin = EmbeddingOrigin(**json.loads(dataset.schema.metadata[_KEY]))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedObject(
                f"{dataset.uri}: expected a table of embeddings, got one that says nothing of its "
                "release and encoder; make it again with `cxr-factory embed`"
            ) from error

    def vector_of(self, sample_id: str) -> Matrix | None:
        """The embedding of a sample's image, (D,); None where it has none."""
        wanted = sample_id.replace("'", "''")
        with lance_errors(self._dataset.uri):
            found = self._dataset.to_table(columns=[_VECTOR], filter=f"{_SAMPLE} = '{wanted}'")
        return np.array(found[_VECTOR][0].as_py(), np.float32) if found.num_rows else None

    def nearest(self, vector_D: Matrix, size: int) -> list[Match]:
        """The samples whose embeddings are nearest by cosine, nearest first.

        Raises:
            ValueError: If the vector has another number of features than the table.
        """
        width = self._dataset.schema.field(_VECTOR).type.list_size
        if vector_D.shape != (width,):
            raise ValueError(f"expected a vector of {width} features, got {vector_D.shape}")
        wanted = {
            "column": _VECTOR,
            "q": vector_D,
            "k": size,
            "metric": "cosine",
            "nprobes": _PROBES,
            "refine_factor": _REFINE,
        }
        with lance_errors(self._dataset.uri):
            found = self._dataset.to_table(columns=[_SAMPLE, "_distance"], nearest=wanted)
        return [Match(row[_SAMPLE], 1 - row["_distance"]) for row in found.to_pylist()]


def write_embeddings(
    store: ObjectStore,
    layout: DatasetLayout,
    model: str,
    origin: EmbeddingOrigin,
    sample_ids: Sequence[str],
    vectors_ND: Matrix,
) -> None:
    """Put the embeddings in place of those that stood under this model's name, and index them."""
    width = vectors_ND.shape[1]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(vectors_ND.ravel()), width)
    metadata = {
        _KEY: json.dumps(asdict(origin)).encode(),
        b"notice": NOT_FOR_CLINICAL_USE.encode(),
    }
    table = pa.table({_SAMPLE: list(sample_ids), _VECTOR: vectors})
    key = layout.embeddings(model)
    stands = open_table(store, key) is not None
    with lance_errors(store.uri(key)):
        written = lance.write_dataset(
            table.replace_schema_metadata(metadata),
            store.uri(key),
            mode="overwrite" if stands else "create",
            storage_options=store.storage_options,
        )
        if len(sample_ids) >= INDEX_FROM_ROWS:
            written.create_index(
                _VECTOR,
                "IVF_PQ",
                metric="cosine",
                num_partitions=max(2, round(len(sample_ids) ** 0.5)),
                num_sub_vectors=_num_codes(width),
            )


def open_embeddings(store: ObjectStore, layout: DatasetLayout, model: str) -> Embeddings | None:
    """The embeddings by a model; None where none were made.

    Raises:
        DamagedObject: If the table does not say of what it was made.
    """
    dataset = open_table(store, layout.embeddings(model))
    return None if dataset is None else Embeddings(dataset)


def embedding_models(store: ObjectStore, layout: DatasetLayout) -> list[str]:
    """Models by which a dataset's images were embedded."""
    keys = store.folders(f"{layout.folder}/embeddings")
    return [key.removesuffix(_SUFFIX) for key in keys if key.endswith(_SUFFIX)]


def _num_codes(width: int) -> int:
    """Parts of the product quantiser: the most of about eight features that divide the width."""
    most = max(1, width // _FEATURES_A_CODE)
    return max(num for num in range(1, most + 1) if width % num == 0)
