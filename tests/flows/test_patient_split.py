"""No test or validation patient reaches any training stage.

One corpus whose held-out patients alone are white and have a pneumothorax: a single one of them
in anything that is trained on is seen.
"""

import ast
import io
from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from flows.ingest import ingest_corpus
from models.vlp.data import PairSource, open_images, read_texts
from storage.corpora import Corpus, read_corpus
from storage.objects import LocalStore
from storage.readers.folder import COLLECTION
from storage.readers.rows import patient_split
from storage.records import Split
from tasks.finetuning import training_radiographs
from tests.storage.readers.made_files import grey, write_csv

PATIENTS = [f"p{number}" for number in range(40)]
HELD_OUT = {who for who in PATIENTS if patient_split(COLLECTION, who) is not Split.TRAIN}
WHITE = 250
CANARY = "pneumothorax"
PROJECT = Path(__file__).parents[2]
ROOMS = ("flows", "tasks", "models")
# What reads a corpus beyond its training patients, and trains nothing with it.
NOT_TRAINING = {("tasks/evaluation.py", "read_corpus_set")}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two images of each patient, ingested by the flow."""
    source, root = tmp_path_factory.mktemp("source"), str(tmp_path_factory.mktemp("root"))
    lines = []
    for who in PATIENTS:
        for view in ("PA", "AP"):
            name, held_out = f"{who}-{view}.png", who in HELD_OUT
            (source / name).write_bytes(grey(WHITE if held_out else 20, side_px=32))
            finding = CANARY if held_out else "cardiomegaly"
            lines.append(
                {
                    "image": name,
                    "patient_id": who,
                    "view": view,
                    "labels": finding,
                    "findings": f"There is {finding}.",
                    "impression": f"{finding}.".capitalize(),
                }
            )
    write_csv(source / "list.csv", lines)
    ingest_corpus("folder", str(source), "mine", root)
    return read_corpus(LocalStore(root), "mine")


def test_there_are_patients_on_both_sides() -> None:
    assert 5 < len(HELD_OUT) < 35


def test_entity_table_is_of_training_patients_alone(corpus: Corpus) -> None:
    entities = {entry.text for entry in corpus.entity_counts()}
    assert "cardiomegaly" in entities
    assert not any(CANARY in entity for entity in entities)


def test_painter_training_images_are_of_training_patients_alone(corpus: Corpus) -> None:
    shown = list(training_radiographs(corpus, unlabelled_as_normal=True))
    assert {one.patient_id for one in shown} == set(PATIENTS) - HELD_OUT
    for one in shown:
        assert CANARY not in f"{one.subject}".lower()
        with Image.open(io.BytesIO(one.image)) as image:
            assert np.asarray(image).max() < WHITE


def test_pretraining_reads_no_pair_of_a_held_out_patient(corpus: Corpus, tmp_path: Path) -> None:
    images = list(corpus.images())
    columns = {
        "sample_id": [image.image_id for image in images],
        "index": list(range(len(images))),
        "split": [image.split.value for image in images],
        "findings": [image.findings for image in images],
        "impression": [image.impression for image in images],
    }
    texts_alone = pa.table(columns)
    schema = pa.schema([*texts_alone.schema, lance.blob_field("image")])
    blobs = lance.blob_array([image.image for image in images])
    table = pa.Table.from_arrays([*texts_alone.columns, blobs], schema=schema)
    uri = str(tmp_path / "pairs.lance")
    lance.write_dataset(table, uri, data_storage_version="2.2")
    source = PairSource(uri)
    texts = read_texts(source, Split.TRAIN)
    assert len(texts) == 2 * len(set(PATIENTS) - HELD_OUT)
    assert not any(CANARY in text.lower() for text in (*texts.findings, *texts.impressions))
    (batch,) = open_images(source, texts, 16, 0, 64).batches([np.arange(len(texts))])
    assert int(batch.max()) < WHITE


def test_whoever_reads_a_corpus_to_train_asks_for_training_patients() -> None:
    found = {
        place for room in ROOMS for path in (PROJECT / room).rglob("*.py") for place in _open(path)
    }
    unknown = found - NOT_TRAINING
    assert not unknown, (
        f"{sorted(unknown)} read a corpus without Split.TRAIN: pass it, or, if nothing is trained "
        "on what they read, list them in NOT_TRAINING"
    )
    assert found == NOT_TRAINING, "NOT_TRAINING lists what is no more"


def _open(path: Path) -> Iterator[tuple[str, str]]:
    """Functions of a module that read a corpus's reports or images of other than training."""
    tree = ast.parse(path.read_text())
    if "storage.corpora" not in {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}:
        return
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for call in ast.walk(function):
                if _reads_corpus(call) and ast.unparse(call).rpartition("(")[2] != "Split.TRAIN)":
                    yield path.relative_to(PROJECT).as_posix(), function.name


def _reads_corpus(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("reports", "images")
    )
