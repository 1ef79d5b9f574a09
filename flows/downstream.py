"""What `evaluate` does for each of a plan's tasks: read or paint, then measure."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flows.downstream_plans import (
    CorpusBoxes,
    CorpusLabels,
    DetectionTask,
    DownstreamTask,
    FineTuningTask,
    GroundingTask,
    Labels,
    LinearProbeTask,
    PhantomLabels,
    RetrievalTask,
    SegmentationMasks,
    SegmentationTask,
)
from models.downstream.labelled_splits import LabelledSplits
from models.downstream.masked_images import MaskedImages
from models.downstream.masked_splits import MaskedSplits
from tasks.artifacts import show_zero_shot
from tasks.corpus_masks import read_masked_sets, read_masked_splits
from tasks.dense import (
    frame_phantoms,
    measure_detection,
    measure_segmentation,
    paint_masked_splits,
    read_boxed_splits,
    require_stages,
)
from tasks.downstream import (
    measure_fine_tuning,
    measure_grounding,
    measure_linear_probe,
    measure_retrieval,
    paint_masked_set,
    read_pairs,
    require_maps,
)
from tasks.downstream_artifacts import (
    show_dense,
    show_few_labels,
    show_grounding,
    show_retrieval,
)
from tasks.label_splits import paint_label_splits, read_label_splits

_TABLES: dict[str, Callable[[str, Mapping[str, Mapping[str, Any]]], None]] = {
    "zero_shot": show_zero_shot,
    "grounding": show_grounding,
    "retrieval": show_retrieval,
    "linear_probe": partial(show_few_labels, "linear_probe"),
    "fine_tuning": partial(show_few_labels, "fine_tuning"),
    "segmentation": partial(show_dense, "segmentation"),
    "detection": partial(show_dense, "detection"),
}


def measure_task(task: DownstreamTask, run: str, root: str) -> dict[str, Any]:
    """One task's result, as it stands in the run's `metrics.json`."""
    match task:
        case GroundingTask():
            return _measure_grounding(task, run, root)
        case RetrievalTask():
            return _measure_retrieval(task, run, root)
        case LinearProbeTask():
            splits = _open_splits(task.name, task.labels, run, root)
            return measure_linear_probe(root, run, splits, task.settings)
        case FineTuningTask():
            splits = _open_splits(task.name, task.labels, run, root)
            return measure_fine_tuning(root, run, splits, task.settings)
        case SegmentationTask():
            return _measure_segmentation(task, run, root)
        case DetectionTask():
            return _measure_detection(task, run, root)


def show(run: str, kind: str, results: Mapping[str, Mapping[str, Any]]) -> None:
    """A table in Prefect's UI of everything of one kind."""
    _TABLES[kind](run, results)


def _measure_grounding(task: GroundingTask, run: str, root: str) -> dict[str, Any]:
    require_maps(root, run, task.settings)
    validation, test = _open_masked_sets(task, run, root)
    return measure_grounding(root, run, validation, test, task.settings)


def _open_masked_sets(
    task: GroundingTask, run: str, root: str
) -> tuple[MaskedImages, MaskedImages]:
    if task.labels is not None:
        return read_masked_sets(task.name, root, run, task.labels.corpus, task.labels.masks)
    test = paint_masked_set(task.name, task.painter, task.num_images, task.seed)
    validation = paint_masked_set(
        f"validation of {task.name}", task.painter, task.num_validation_images, task.seed + 1
    )
    return validation, test


def _measure_retrieval(task: RetrievalTask, run: str, root: str) -> dict[str, Any]:
    pairs = read_pairs(
        task.name, root, task.dataset, task.release, task.split, task.max_pairs, task.seed
    )
    return measure_retrieval(root, run, pairs, task.settings)


def _measure_segmentation(task: SegmentationTask, run: str, root: str) -> dict[str, Any]:
    require_stages(root, run)
    splits = _open_masked_splits(task, run, root)
    return measure_segmentation(root, run, splits, task.settings)


def _open_masked_splits(task: SegmentationTask, run: str, root: str) -> MaskedSplits:
    labels, settings = task.labels, task.settings
    if not isinstance(labels, SegmentationMasks):
        return _paint_masked(task.name, labels)
    return read_masked_splits(
        task.name,
        root,
        run,
        labels.corpus,
        labels.masks,
        settings.findings,
        labels.blank_per_shown,
        settings.seed,
    )


def _measure_detection(task: DetectionTask, run: str, root: str) -> dict[str, Any]:
    require_stages(root, run)
    if isinstance(task.labels, CorpusBoxes):
        corpus, findings = task.labels.corpus, task.settings.findings
        splits = read_boxed_splits(task.name, root, run, corpus, findings)
    else:
        splits = frame_phantoms(_paint_masked(task.name, task.labels))
    return measure_detection(root, run, splits, task.settings)


def _paint_masked(name: str, labels: PhantomLabels) -> MaskedSplits:
    wanted = (labels.num_train_images, labels.num_validation_images, labels.num_test_images)
    return paint_masked_splits(name, labels.painter, wanted, labels.seed)


def _open_splits(name: str, labels: Labels, run: str, root: str) -> LabelledSplits:
    if isinstance(labels, CorpusLabels):
        return read_label_splits(name, root, run, labels.corpus, labels.label_list)
    wanted = (labels.num_train_images, labels.num_validation_images, labels.num_test_images)
    return paint_label_splits(name, labels.painter, wanted, labels.seed)
