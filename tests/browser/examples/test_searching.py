"""Search by example: the nearest by a plain cosine, of this release or said to be of another."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from browser.settings import Settings
from models.engines import engine_config
from storage.embedding_tables import EmbeddingOrigin, write_embeddings
from storage.layout import DatasetLayout
from storage.objects import LocalStore
from tests.browser.released import NAME, client_of, make_release, reference
from tests.models.encoders.tiny_checkpoints import save_factory_run

LAYOUT = DatasetLayout(NAME)
NUM_PAIRS = 40
PAIRS = f"/datasets/{NAME}/1/pairs"
PAGE, API = f"/datasets/{NAME}/1/similar", f"/api/datasets/{NAME}/releases/1/similar"
PLAIN = EmbeddingOrigin(f"{NAME}@1", "f" * 64, '{"kind": "handcrafted"}', "1", False, False)
IDS = [reference(index).sample_id for index in range(NUM_PAIRS)]


def _vectors(width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(NUM_PAIRS, width)).astype(np.float32)


def _order(vectors_ND: NDArray[np.float32], asked_D: NDArray[np.float32]) -> list[str]:
    norms = np.linalg.norm(vectors_ND, axis=1) * np.linalg.norm(asked_D)
    return [IDS[row] for row in np.argsort(-(vectors_ND @ asked_D) / norms)]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(str(tmp_path / "root"))
    make_release(store, num_pairs=NUM_PAIRS)
    return store


def _ids(found: dict[str, Any]) -> Sequence[str]:
    return [one["card"]["sample_id"] for one in found["cards"]]


def _search(client: TestClient, **query: str) -> dict[str, Any]:
    answer = client.get(API, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_more_like_an_image_is_the_order_of_a_plain_cosine(store: LocalStore) -> None:
    vectors_ND = _vectors(12)
    write_embeddings(store, LAYOUT, "plain", PLAIN, IDS, vectors_ND)
    with client_of(Settings(root=store.root)) as client:
        found = _search(client, sample=IDS[7])
        page = client.get(PAGE, params={"sample": IDS[7]}).text
        assert f'href="{PAGE}?sample={IDS[7]}"' in client.get(f"{PAIRS}/{IDS[7]}").text
    assert _ids(found) == _order(vectors_ND, vectors_ND[7])[1:]
    assert (found["model"], found["other_release"], found["num_absent"]) == ("plain", False, 0)
    assert page.count('class="card"') == NUM_PAIRS - 1
    assert "another release" not in page and "embeds images alone" not in page


def test_images_for_a_text_are_those_nearest_in_the_space_of_a_run(
    store: LocalStore, tmp_path: Path
) -> None:
    config = engine_config(
        "encoders", {"kind": "factory", "checkpoint": str(save_factory_run(tmp_path / "run"))}
    )
    text_D = config.open().embed_texts(["large effusion"])[0]
    vectors_ND = _vectors(len(text_D))
    settings = json.dumps(config.model_dump(mode="json"))
    origin = replace(PLAIN, encoder=settings, encoder_revision=config.revision(), embeds_texts=True)
    write_embeddings(store, LAYOUT, "run", origin, IDS, vectors_ND)
    write_embeddings(
        store, LAYOUT, "stale", replace(origin, encoder_revision="old"), IDS, vectors_ND
    )
    write_embeddings(store, LAYOUT, "plain", PLAIN, IDS, _vectors(5))
    with client_of(Settings(root=store.root)) as client:
        found = _search(client, text="large effusion", model="run")
        alone = client.get(PAGE, params={"text": "effusion", "model": "plain"})
        stale = client.get(PAGE, params={"text": "effusion", "model": "stale"})
        both = client.get(PAGE, params={"text": "effusion", "sample": IDS[0]})
        assert client.get(PAGE, params={"text": "x" * 501, "model": "run"}).status_code == 400
    assert _ids(found) == _order(vectors_ND, text_D)
    assert (alone.status_code, "embeds images alone" in alone.text) == (404, True)
    assert (stale.status_code, "has changed since" in stale.text) == (404, True)
    assert both.status_code == 400


def test_embeddings_of_another_release_are_searched_and_said_to_be(store: LocalStore) -> None:
    gone = "0" * 32
    older = replace(PLAIN, release=f"{NAME}@9")
    vectors_ND = _vectors(12)
    write_embeddings(store, LAYOUT, "plain", older, [*IDS[:-1], gone], vectors_ND)
    with client_of(Settings(root=store.root)) as client:
        page = client.get(PAGE, params={"sample": IDS[0]}).text
        missing = client.get(PAGE, params={"sample": IDS[-1]})
    assert "another release" in page and f"{NAME}@9; 1 of the images found there" in page
    assert missing.status_code == 404 and f"{NAME}@9, which has no sample" in missing.text


def test_table_made_anew_replaces_the_one_before(store: LocalStore) -> None:
    vectors_ND = _vectors(6, seed=1)
    write_embeddings(store, LAYOUT, "plain", PLAIN, IDS, _vectors(12))
    write_embeddings(store, LAYOUT, "plain", PLAIN, IDS, vectors_ND)
    with client_of(Settings(root=store.root)) as client:
        assert _ids(_search(client, sample=IDS[3])) == _order(vectors_ND, vectors_ND[3])[1:]


def test_without_embeddings_the_page_says_how_to_make_them(store: LocalStore) -> None:
    with client_of(Settings(root=store.root)) as client:
        assert f"cxr-factory embed {NAME} --run RUN" in client.get(PAGE).text
        for path in (PAIRS, f"{PAIRS}/{IDS[0]}"):
            assert "/similar" not in client.get(path).text
        write_embeddings(store, LAYOUT, "plain", PLAIN, IDS, _vectors(4))
        assert f'href="{PAGE}"' in client.get(PAIRS).text
        assert client.get(PAGE, params={"sample": "0" * 32}).status_code == 404
        assert client.get(API).json() is None


def test_embeddings_by_a_restricted_run_stay_on_this_machine(store: LocalStore) -> None:
    write_embeddings(store, LAYOUT, "secret", replace(PLAIN, restricted=True), IDS, _vectors(12))
    with client_of(Settings(root=store.root, host="0.0.0.0", token="word")) as client:
        client.headers["Authorization"] = "Bearer word"
        assert "secret" not in client.get(PAGE).text
        answer = client.get(PAGE, params={"sample": IDS[0], "model": "secret"})
    assert answer.status_code == 404
