"""Embeddings in Lance: with an index the nearest are found as without."""

from pathlib import Path

import numpy as np
import pytest

from storage import embedding_tables
from storage.corpora import open_table
from storage.embedding_tables import EmbeddingOrigin, open_embeddings, write_embeddings
from storage.errors import DamagedObject
from storage.layout import DatasetLayout
from storage.objects import LocalStore

LAYOUT = DatasetLayout("many")
ORIGIN = EmbeddingOrigin("many@1", "f" * 64, "{}", "1", False, False)


def test_indexed_search_finds_the_nearest_that_comparing_all_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_tables, "INDEX_FROM_ROWS", 1000)
    store, rng = LocalStore(str(tmp_path)), np.random.default_rng(0)
    centres = rng.normal(size=(50, 32))
    vectors_ND = (centres[rng.integers(50, size=2000)] + 0.3 * rng.normal(size=(2000, 32))).astype(
        np.float32
    )
    ids = [f"{row:032x}" for row in range(2000)]
    write_embeddings(store, LAYOUT, "model", ORIGIN, ids, vectors_ND)
    table = open_table(store, LAYOUT.embeddings("model"))
    assert table is not None and len(table.describe_indices()) == 1
    found = open_embeddings(store, LAYOUT, "model")
    assert found is not None
    unit_ND = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    num_found = 0
    for row in range(0, 2000, 100):
        expected = {ids[one] for one in np.argsort(-(unit_ND @ unit_ND[row]))[:10]}
        num_found += len(expected & {one.sample_id for one in found.nearest(vectors_ND[row], 10)})
    assert num_found >= 190  # of 200


def test_table_that_says_nothing_of_its_encoder_is_damaged(tmp_path: Path) -> None:
    import lance
    import pyarrow as pa

    store = LocalStore(str(tmp_path))
    lance.write_dataset(pa.table({"x": [1]}), store.uri(LAYOUT.embeddings("odd")))
    with pytest.raises(DamagedObject, match="make it again with `cxr-factory embed`"):
        open_embeddings(store, LAYOUT, "odd")


def test_vector_of_another_width_is_refused(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    write_embeddings(store, LAYOUT, "model", ORIGIN, ["a"], np.ones((1, 4), np.float32))
    found = open_embeddings(store, LAYOUT, "model")
    assert found is not None and found.vector_of("b") is None
    with pytest.raises(ValueError, match="expected a vector of 4 features"):
        found.nearest(np.ones(5, np.float32), 1)
