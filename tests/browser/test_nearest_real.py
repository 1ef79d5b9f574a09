"""The nearest real image: named by the gate's own table, and not shown where it may not be."""

import json
from pathlib import Path

import numpy as np
import pytest

from browser.library import Library
from browser.nearest_real import nearest_real
from browser.settings import Settings
from models.gates.real_images import RealImagesOrigin, write_real_images
from storage.corpora import read_corpus
from storage.ingestion import corpus_reader, ingest
from storage.layout import DatasetLayout
from storage.objects import LocalStore
from storage.records import GateScore
from tests.browser.released import NAME, client_of
from tests.storage.readers.made_files import make_mimic

TOKEN = "a token"
SCORES = (
    GateScore("nearest_real", "distance_at_least", 0.25, 0.1, True),
    GateScore("nearest_real", "neighbour_row", 1.0, 3.0, True),
)


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A root with a restricted corpus of images, and a plan with the gate's table."""
    store = LocalStore(str(tmp_path / "root"))
    ingest(store, "hospital", corpus_reader("mimic", make_mimic(tmp_path / "source")))
    ids = [image.image_id for image in read_corpus(store, "hospital").images()][:3]
    table = str(tmp_path / "real.lance")
    origin = RealImagesOrigin("handcrafted", "1", "hospital", True, "0" * 64)
    write_real_images(table, ids, np.eye(3, 4, dtype=np.float32), origin)
    gates = [{"kind": "technical"}, {"kind": "nearest_real", "index": table}]
    lock = {"plan": {"plan": {"image_rules": {"gates": gates}}}}
    store.put(DatasetLayout(NAME).plan_lock, json.dumps(lock).encode())
    return store.root


def test_nearest_real_is_named_by_the_table_of_the_gate(root: str) -> None:
    found = nearest_real(Library(Settings(root=root)), NAME, SCORES)
    images = list(read_corpus(LocalStore(root), "hospital").images())
    assert found is not None
    assert (found.distance, found.corpus, found.shown) == (0.25, "hospital", True)
    assert found.image_id == images[1].image_id
    with client_of(Settings(root=root)) as client:
        answer = client.get("/corpora/hospital/image", params={"image_id": found.image_id})
        assert answer.content == images[1].image
        for corpus, image_id in (("hospital", "x' OR 1=1 --"), ("none", "1"), ("..", "1")):
            refused = client.get(f"/corpora/{corpus}/image", params={"image_id": image_id})
            assert refused.status_code == 404


def test_nearest_real_of_a_restricted_corpus_stays_on_this_machine(root: str) -> None:
    beyond = Settings(root=root, host="0.0.0.0", token=TOKEN)
    found = nearest_real(Library(beyond), NAME, SCORES)
    assert found is not None and not found.shown
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with client_of(beyond) as client:
        asked = {"image_id": found.image_id}
        assert (
            client.get("/corpora/hospital/image", params=asked, headers=bearer).status_code == 403
        )


def test_nearest_real_without_its_table_keeps_row_and_distance(root: str, tmp_path: Path) -> None:
    (tmp_path / "real.lance").rename(tmp_path / "elsewhere.lance")
    found = nearest_real(Library(Settings(root=root)), NAME, SCORES)
    assert found is not None
    assert (found.row, found.distance, found.corpus, found.shown) == (1, 0.25, "", False)


def test_nearest_real_where_no_gate_looked_is_none(root: str) -> None:
    assert nearest_real(Library(Settings(root=root)), NAME, ()) is None
