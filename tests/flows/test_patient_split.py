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

from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.plans import AllTarget
from models.vlp.data import PairSource, open_images, read_texts
from storage.corpora import Corpus, read_corpus
from storage.layout import DatasetLayout, Table
from storage.objects import LocalStore
from storage.readers.folder import COLLECTION
from storage.readers.rows import patient_split
from storage.records import Split
from tasks.finetuning import training_radiographs
from tests.flows.conftest import tiny_plan
from tests.storage.readers.made_files import grey, write_csv

PATIENTS = [f"p{number}" for number in range(40)]
HELD_OUT = {who for who in PATIENTS if patient_split(COLLECTION, who) is not Split.TRAIN}
WHITE = 250
CANARY = "pneumothorax"
PROJECT = Path(__file__).parents[2]
ROOMS = ("flows", "tasks", "models")
# What reads a corpus beyond its training patients, and trains nothing with it.
NOT_TRAINING = {
    ("tasks/audit.py", "audit_images"),
    ("tasks/evaluation.py", "read_corpus_set"),
    ("tasks/label_splits.py", "held_out_images"),
    ("tasks/real_images.py", "validation_images"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def corpus(root: str, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two images of each patient, ingested by the flow."""
    source = tmp_path_factory.mktemp("source")
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


@pytest.mark.usefixtures("corpus")
def test_real_reports_that_reach_pretraining_are_of_training_patients_alone(root: str) -> None:
    num_training = len(PATIENTS) - len(HELD_OUT)
    plan = tiny_plan(
        name="real",
        target={"all": 2 * num_training},  # a report of each of a patient's two images
        entities={"kind": "built-in"},
        sampling={},
        splits={},
        writer={"kind": "corpus", "corpus": "mine"},
        image_rules={"near_duplicate_max_distance": None},
    )
    release = generate_dataset(plan, root)
    pairs = f"{root}/{DatasetLayout('real').table(Table.PAIRS)}"
    texts = read_texts(PairSource(pairs, release.versions[Table.PAIRS]), Split.TRAIN)
    assert len(texts) == release.num_accepted == 2 * num_training
    assert not any(CANARY in text.lower() for text in (*texts.findings, *texts.impressions))
    rows = lance.dataset(pairs).to_table(columns=["split", "source_patient_id"]).to_pylist()
    assert {row["source_patient_id"] for row in rows} == set(PATIENTS) - HELD_OUT
    assert {row["split"] for row in rows} == {"train"}
    with pytest.raises(
        ValueError, match=f"reports of training patients .*{2 * num_training}.*, got"
    ):
        generate_dataset(
            plan.model_copy(update={"name": "more", "target": AllTarget(all=2 * num_training + 1)}),
            root,
        )


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
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _reads_corpus(node) and not _of_training(node):
                    yield path.relative_to(PROJECT).as_posix(), function.name


def _reads_corpus(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("reports", "images")


def _of_training(call: ast.Call) -> bool:
    return bool(call.args) and ast.unparse(call.args[0]) == "Split.TRAIN"
