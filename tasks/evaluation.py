"""The evaluate stage's task: a trained run and a labelled set in, zero-shot metrics out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.downstream.heldout import heldout_phantoms
from models.downstream.labelled_images import LabelledImages
from models.downstream.metrics import UNKNOWN, Figure
from models.downstream.scored_images import ScoredImages
from models.downstream.zero_shot import ZeroShotConfig, evaluate_zero_shot
from models.engine_queue import EngineQueue
from models.engines import EngineConfig, EngineInfo, PaintedImage, PaintRequest
from models.images import decode_png
from models.painters.painting import PaintOutcome, PaintStationConfig
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.label_lists import Label, LabelList, labels_of
from storage.corpora import read_corpus
from storage.errors import ObjectMissing
from storage.folders import local_file
from storage.layout import model_folder
from storage.objects import open_store
from storage.readers.rows import CorpusImage
from storage.records import Split
from tasks.figure_draws import put_draws
from tasks.image_scores import put_scores
from tasks.training import read_metrics, update_metrics

if TYPE_CHECKING:
    from models.vlp.model import VisionLanguageModel  # imports torch


class ScoredResult(Protocol):
    """A result with the scores of images behind it."""

    @property
    def scored(self) -> tuple[ScoredImages, ...]:
        """What each image was given, once for every figure."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        ...


class DrawnResult(Protocol):
    """A result whose figures have the resamples of patients behind them."""

    def figures(self) -> Mapping[str, Figure]:
        """What a study compares, by its name there."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        ...


@task(name="paint-phantom-set", cache_policy=NO_CACHE, persist_result=False)
def paint_phantom_set(
    name: str, painter: EngineConfig, num_images: int, seed: int
) -> LabelledImages:
    """Held-out images whose truth is known, painted by as many processes as the painter asks."""
    with painting(painter) as queue:
        return heldout_phantoms(queue, num_images, seed, load_vocabulary(), name)


@task(name="read-corpus-set", cache_policy=NO_CACHE, persist_result=False)
def read_corpus_set(
    name: str,
    root: str,
    run: str,
    corpus: str,
    split: Split | None,
    label_list: LabelList = LabelList.CHESTXRAY14,
) -> LabelledImages:
    """Real images with their labels, as large as the run's image tower sees them.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If there is no such corpus, or it has no images.
    """
    opened = read_corpus(open_store(root), corpus)
    size_px = trained_model(root, run).config.image_tower.image_size_px
    return labelled_images(name, opened.images(split), size_px, labels_of(label_list))


def labelled_images(
    name: str, images: Iterable[CorpusImage], size_px: int, labels: Sequence[Label]
) -> LabelledImages:
    """A corpus's images, square, decoded one by one so that only the small ones are held.

    What the source states as possible is neither present nor absent: it counts for no AUROC.

    Args:
        name: What results call the set; the bootstrap groups it by patient.
        images: Of the corpus.
        size_px: Side of the squares.
        labels: What they are classified by.
    """
    from models.vlp.images import fit_square  # imports torch

    squares: list[NDArray[np.uint8]] = []
    stated: list[list[int]] = []
    groups: list[str] = []
    views: list[str] = []
    for image in images:
        squares.append(fit_square(decode_png(image.image), size_px))
        stated.append([_label_of(image, label) for label in labels])
        groups.append(image.patient_id)
        views.append(str(image.view or "unknown"))
    labels_NF = np.array(stated, dtype=np.int8).reshape(len(squares), len(labels))
    return LabelledImages(name, squares, labels_NF, tuple(groups), tuple(views), tuple(labels))


@task(name="evaluate-zero-shot", cache_policy=NO_CACHE, persist_result=False)
def measure_zero_shot(
    root: str, run: str, labelled: LabelledImages, config: ZeroShotConfig
) -> dict[str, Any]:
    """Zero-shot AUROC of a run on a set, written to the run's `metrics.json`.

    Raises:
        ObjectMissing: If there is no such run.
    """
    return measured_with_scores(
        root,
        run,
        "zero_shot",
        labelled.name,
        lambda model: evaluate_zero_shot(model, labelled, config),
    )


def measured(
    root: str,
    run: str,
    kind: str,
    name: str,
    measure: "Callable[[VisionLanguageModel], dict[str, Any]]",
) -> dict[str, Any]:
    """What `measure` finds of a run's model, written to its `metrics.json` under kind and name.

    Raises:
        ObjectMissing: If there is no such run.
    """
    result = measure(trained_model(root, run))
    store = open_store(root)
    of_kind = read_metrics(store, run).get(kind, {}) | {name: result}
    update_metrics(store, run, {kind: of_kind})
    return result


def measured_with_scores(
    root: str,
    run: str,
    kind: str,
    name: str,
    measure: "Callable[[VisionLanguageModel], ScoredResult]",
) -> dict[str, Any]:
    """As `measured`; what each image was given is kept beside the metrics.

    Raises:
        ObjectMissing: If there is no such run.
    """

    def keep(model: "VisionLanguageModel") -> dict[str, Any]:
        result = measure(model)
        put_scores(open_store(root), run, kind, name, result.scored)
        return result.as_dict()

    return measured(root, run, kind, name, keep)


def measured_with_draws(
    root: str,
    run: str,
    kind: str,
    name: str,
    measure: "Callable[[VisionLanguageModel], DrawnResult]",
    said: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """As `measured`; its figures' resamples, by which studies compare, are kept beside the metrics.

    Args:
        root: Of the run.
        run: Whose model.
        kind: Of the task.
        name: Of the task.
        measure: What is found of the model.
        said: What else stands in the metrics.

    Raises:
        ObjectMissing: If there is no such run.
    """

    def keep(model: "VisionLanguageModel") -> dict[str, Any]:
        result = measure(model)
        put_draws(open_store(root), run, kind, name, result.figures())
        return {**said, **result.as_dict()}

    return measured(root, run, kind, name, keep)


def trained_model(root: str, run: str) -> "VisionLanguageModel":
    """The model of a run.

    Raises:
        ObjectMissing: If there is no such run.
    """
    from models.vlp.checkpoint import MODEL_FILE, load_model

    store = open_store(root)
    if not read_metrics(store, run):
        raise ObjectMissing(
            f"no trained run {run!r} under {root}; run cxr-factory pretrain, or name another"
        )
    with local_file(store, f"{model_folder(run)}/{MODEL_FILE}") as path:
        return load_model(path)


@contextmanager
def painting(painter: EngineConfig) -> "Iterator[QueuePainter]":
    """A painter in as many processes as it asks for."""
    with EngineQueue[PaintRequest, PaintOutcome](PaintStationConfig(painter, ())) as queue:
        yield QueuePainter(queue)


def _label_of(image: CorpusImage, label: Label) -> int:
    """1 present, 0 absent, -1 where the source states it as possible."""
    if label.value in image.labels:
        return 1
    return UNKNOWN if label.value in image.uncertain_labels else 0


class QueuePainter:
    """A painter over an engine queue: what is painted side by side comes back in order."""

    info = EngineInfo("queue", "1", deterministic=True)
    max_batch_size = 1_000_000  # the queue cuts its own batches

    def __init__(self, queue: EngineQueue[PaintRequest, PaintOutcome]) -> None:
        self._queue = queue

    def paint(self, requests: Sequence[PaintRequest]) -> list[PaintedImage]:
        """Answer every request, in order."""
        futures = [self._queue.submit(request) for request in requests]
        return [_painted(future.result()) for future in futures]

    def close(self) -> None:
        """The queue is its owner's to close."""


def _painted(outcome: PaintOutcome) -> PaintedImage:
    return PaintedImage(decode_png(outcome.png), outcome.masks, outcome.engine_seconds)
