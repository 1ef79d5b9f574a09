"""The flow that trains a painter: a corpus's training patients in, a pipeline folder out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from diffusers import DiffusionPipeline
from PIL import Image

from flows.finetune import FinetunePlan, finetune_painter
from flows.ingest import ingest_corpus
from models.painters.finetuning.data import TrainingSet
from storage.corpora import read_corpus
from storage.objects import open_store
from storage.records import Split
from tasks.finetuning import subject_of

NUM_PATIENTS = 24
PLAN = {
    "name": "tiny-painter",
    "corpus": "nih",
    "model": {
        "image_size_px": 32,
        "device": "cpu",
        "views_per_image": 1,
        "start": {
            "kind": "scratch",
            "autoencoder": {"widths": [16, 16], "training": {"steps": 2, "learning_rate": 1e-3}},
            "text_encoder": {"width": 16, "num_layers": 1, "num_heads": 2, "max_tokens": 32},
            "denoiser": {"widths": [16, 32], "num_heads": 2},
        },
        "training": {"steps": 2, "batch_size": 4, "learning_rate": 1e-3},
    },
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A root with a corpus of made images, two of each patient."""
    source = tmp_path_factory.mktemp("nih")
    (source / "images").mkdir()
    lines = [
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    ]
    for patient in range(1, NUM_PATIENTS + 1):
        for study in range(2):
            name = f"{patient:08}_{study:03}.png"
            grey = np.random.default_rng([patient, study]).integers(0, 255, (40, 40), np.uint8)
            Image.fromarray(grey).save(source / "images" / name)
            lines.append(f"{name},Effusion|Mass,{study},{patient},60,F,PA")
    (source / "labels.csv").write_text("\n".join(lines) + "\n")
    (source / "bbox.csv").write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\n")
    folder = str(tmp_path_factory.mktemp("factory"))
    ingest_corpus("nih", str(source), "nih", folder)
    return folder


def test_finetune_painter_learns_from_training_patients_only(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TrainingSet] = []

    class Seen(Exception):
        """Ends the run where training would begin."""

    def remember(_: object, training_set: TrainingSet, *__: object) -> None:
        seen.append(training_set)
        raise Seen

    monkeypatch.setattr("models.painters.finetuning.trainer.finetune", remember)
    with pytest.raises(Seen):
        finetune_painter(FinetunePlan.model_validate(PLAN), root)
    corpus = read_corpus(open_store(root), "nih")
    of_split = {split: {i.patient_id for i in corpus.images(split)} for split in Split}
    assert all(of_split.values()), "every split needs a patient for this test to say anything"
    learnt_from = set(seen[0].patient_ids)
    assert learnt_from == of_split[Split.TRAIN]
    assert not learnt_from & (of_split[Split.VALIDATION] | of_split[Split.TEST])
    assert len(seen[0]) == 2 * len(learnt_from)


@pytest.mark.parametrize(("as_normal", "labels"), [(True, ("No Finding",)), (False, ())])
def test_unlabelled_image_is_worded_as_the_plan_says(
    as_normal: bool, labels: tuple[str, ...], root: str
) -> None:
    image = next(read_corpus(open_store(root), "nih").images())
    unlabelled = subject_of(replace(image, labels=()), unlabelled_as_normal=as_normal)
    assert unlabelled.labels == labels
    assert subject_of(image, unlabelled_as_normal=as_normal).labels == ("Effusion", "Mass")


def test_finetune_painter_leaves_a_pipeline_and_metrics(root: str) -> None:
    metrics = finetune_painter(FinetunePlan.model_validate(PLAN), root)
    folder = Path(root) / metrics["training"]["pipeline_folder"]
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    assert pipeline("Mass.", num_inference_steps=2).images[0].size == (32, 32)
    written = json.loads((Path(root) / "models/tiny-painter/metrics.json").read_text())
    assert written["training"]["num_steps"] == 2
    assert written["provenance"]["corpus"] == "nih"
    assert written["provenance"]["restricted"] is False


def test_finetune_painter_on_an_absent_corpus_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bring it in with `cxr-factory ingest`"):
        finetune_painter(FinetunePlan.model_validate(PLAN), str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size_px": 40, "start": {"kind": "scratch"}}, "image_size_px must be a multiple"),
        ({"start": {"kind": "scratch", "text_encoder": {"num_heads": 3}}}, "must divide width 128"),
        ({"start": {"kind": "scratch", "denoiser": {"num_heads": 5}}}, "must divide every width"),
    ],
)
def test_finetune_plan_that_cannot_be_built_says_which_field(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FinetunePlan.model_validate(PLAN | {"model": changes})
