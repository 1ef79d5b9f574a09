"""The command `embed`: a release's images become a table that finds each image's own kind."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.cli import _run, app
from flows.generate import generate_dataset
from storage.embedding_tables import open_embeddings
from storage.layout import DatasetLayout, Table
from storage.objects import LocalStore
from storage.releases import open_release, open_table
from tests.flows.conftest import tiny_plan
from tests.models.encoders.tiny_checkpoints import save_factory_run

LAYOUT = DatasetLayout("tiny")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("factory")
    generate_dataset(tiny_plan(), str(folder))
    save_factory_run(folder / "models" / "mine")
    return str(folder)


def _embed(*words: str) -> int:
    return _run(lambda: app(["embed", "tiny", *words], standalone_mode=False))


def _ids(store: LocalStore) -> list[str]:
    pairs = open_table(store, open_release(store, LAYOUT), Table.PAIRS)
    ids: list[str] = pairs.to_table(columns=["sample_id"])["sample_id"].to_pylist()
    return ids


@pytest.mark.parametrize(
    ("words", "model", "embeds_texts"),
    [
        (("--encoder", "{kind: handcrafted}"), "handcrafted", False),
        (("--run", "mine"), "mine", True),
    ],
)
def test_embed_makes_a_table_in_which_every_image_is_nearest_to_itself(
    root: str,
    words: tuple[str, ...],
    model: str,
    embeds_texts: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = LocalStore(root)
    assert _embed(*words, "--root", root, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"dataset": "tiny", "model": model, "release": "tiny@1", "num_images": 24}
    found = open_embeddings(store, LAYOUT, model)
    assert found is not None
    assert (found.origin.release, found.origin.embeds_texts) == ("tiny@1", embeds_texts)
    for sample_id in _ids(store)[:6]:
        vector = found.vector_of(sample_id)
        assert vector is not None and np.isfinite(vector).all()
        nearest, *others = found.nearest(vector, 24)
        assert nearest.similarity == pytest.approx(1, abs=1e-4)
        assert sample_id in [one.sample_id for one in (nearest, *others) if one.similarity > 0.9999]
        assert len(others) == 23


def test_embed_again_writes_nothing(root: str) -> None:
    words = ("--encoder", "{kind: handcrafted}", "--root", root)
    assert _embed(*words) == 0
    versions = Path(root) / LAYOUT.embeddings("handcrafted") / "_versions"
    before = sorted(versions.iterdir())
    assert _embed(*words) == 0
    assert sorted(versions.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "expected either --run RUN or --encoder YAML"),
        (("--run", "none"), "run `cxr-factory pretrain` first"),
        (("--encoder", "{kind: nonsense}"), "nonsense"),
        (("--encoder", "{kind: ["), "expected YAML"),
        (("--encoder", "{kind: handcrafted}", "--release", "9"), "no release 9"),
    ],
)
def test_embed_of_what_there_is_not_is_one_line(
    root: str, words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _embed(*words, "--root", root) == 1
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert line in said
