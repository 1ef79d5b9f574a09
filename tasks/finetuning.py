"""The task that trains a painter: a corpus's training patients in, a pipeline folder out."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from models.painters.finetuning.captions import NO_FINDING, Subject
from models.painters.finetuning.configs import FinetuningConfig
from storage.corpora import Corpus, read_corpus
from storage.folders import working_folder
from storage.layout import model_folder
from storage.objects import open_store
from storage.readers.rows import CorpusImage
from storage.records import Split
from tasks.settle import code_version
from tasks.training import update_metrics

if TYPE_CHECKING:
    from models.painters.finetuning.data import Radiograph
    from models.vlp.training_log import StepLog

LOG_EVERY_STEPS = 100


@task(name="train-painter", cache_policy=NO_CACHE, persist_result=False, retries=1)
def train_painter(root: str, run: str, corpus: str, config: FinetuningConfig) -> dict[str, Any]:
    """Train on the corpus's training patients, or go on where a run was cut off.

    Returns:
        What is written to the run's `metrics.json`.

    Raises:
        ValueError: If there is no such corpus, or it has no images of training patients.
        PlanMismatch: If a run of this name was made by another plan or from other images.
    """
    from models.painters.finetuning.data import read_training_set  # imports torch
    from models.painters.finetuning.trainer import finetune

    store = open_store(root)
    source = read_corpus(store, corpus)
    training_set = read_training_set(
        training_radiographs(source, unlabelled_as_normal=config.unlabelled_as_normal),
        config.image_size_px,
        config.memory_limit_mib,
    )
    provenance = {
        "corpus": corpus,
        "corpus_version": source.version,
        "corpus_sha256": source.info.source_sha256,
        "licence": source.info.licence,
        "restricted": source.info.restricted,
        "code_version": code_version(),
    }
    with working_folder(store, model_folder(run)) as folder:
        result = finetune(config, training_set, folder, provenance, _log_step)
    training = asdict(result) | {"pipeline_folder": f"{model_folder(run)}/pipeline"}
    metrics = {"run": run, "provenance": provenance, "training": training}
    return update_metrics(store, run, metrics)


def training_radiographs(corpus: Corpus, *, unlabelled_as_normal: bool) -> "Iterator[Radiograph]":
    """The images of a corpus's training patients, with what it says of each."""
    from models.painters.finetuning.data import Radiograph

    for image in corpus.images(Split.TRAIN):
        subject = subject_of(image, unlabelled_as_normal=unlabelled_as_normal)
        yield Radiograph(image.image_id, image.patient_id, image.split, image.image, subject)


def subject_of(image: CorpusImage, *, unlabelled_as_normal: bool) -> Subject:
    """What captions may say of a corpus's image.

    Args:
        image: Of any split.
        unlabelled_as_normal: Whether an image of which nothing is stated counts as normal.
    """
    normal = unlabelled_as_normal and not (image.labels or image.uncertain_labels)
    return Subject(
        labels=(NO_FINDING,) if normal else image.labels,
        view=image.view,
        sex=image.sex,
        age_years=image.age_years,
        uncertain_labels=image.uncertain_labels,
        report=image.impression or image.findings,
    )


def _log_step(stage: str, entry: "StepLog") -> None:
    if entry.step % LOG_EVERY_STEPS == 0 or entry.step == entry.num_steps:
        get_run_logger().info(
            "%s step %d of %d: loss %.4f, %.1f images/s",
            stage, entry.step, entry.num_steps, entry.loss, entry.terms["images_per_second"],
        )  # fmt: skip
