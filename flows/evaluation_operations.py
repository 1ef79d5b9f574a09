"""What one cell of a study is measured by, in floating-point operations.

Early stopping counts as if it never came. Prompts are left out, a few texts a set; so are the
resamples, the logistic regressions and the painting of phantoms, which need no network.
"""

import math
from collections.abc import Callable
from functools import partial

from flows.downstream_plans import (
    DetectionTask,
    DownstreamTask,
    FineTuningTask,
    GroundingTask,
    LinearProbeTask,
    PhantomLabels,
    RetrievalTask,
    SegmentationTask,
)
from flows.study_plans import SplitImages, StudyEvaluation
from flows.training_plans import EvaluationSet, PhantomSet
from models.downstream.grounding import MapSource
from models.downstream.heldout import MAX_FINDINGS
from models.studies.evaluation_operations import (
    label_operations,
    require_maps,
    seeing_operations,
)
from models.studies.training_operations import text_token_operations
from models.vlp.configs import PretrainingConfig
from models.vocabulary.findings import Finding
from models.vocabulary.label_lists import labels_of

# Images of a corpus; raises ValueError where it is not known.
CorpusImages = Callable[[str], SplitImages]
Parts = dict[str, Callable[[], int]]

TrainedTask = FineTuningTask | SegmentationTask | DetectionTask


def evaluation_operations(
    evaluation: StudyEvaluation, model: PretrainingConfig, corpora: CorpusImages
) -> dict[str, Parts]:
    """How to count each set and task, by kind and then by its name in words."""
    kinds: dict[str, Parts] = {}
    for one in evaluation.sets:
        count = partial(_zero_shot, one, model, corpora)
        kinds.setdefault("zero_shot", {})[f"zero_shot/{one.name}"] = count
    for task in evaluation.tasks:
        counted = partial(_task, task, model, corpora)
        kinds.setdefault(task.kind, {})[f"{task.kind}/{task.name}"] = counted
    return kinds


def _zero_shot(one: EvaluationSet, model: PretrainingConfig, corpora: CorpusImages) -> int:
    if isinstance(one, PhantomSet):
        num_images = one.num_images
    else:
        found = corpora(one.corpus)
        num_images = found.of(one.split) if one.split else found.total
    return num_images * seeing_operations(model.image_tower)


def _task(task: DownstreamTask, model: PretrainingConfig, corpora: CorpusImages) -> int:
    match task:
        case GroundingTask():
            maps = _num_maps(task, corpora) * seeing_operations(model.image_tower)
            if task.settings.maps is MapSource.GRADIENT:
                return 3 * maps  # back takes twice what forward does
            require_maps(model.objective)
            return maps
        case RetrievalTask():
            length = model.text_tower.max_tokens
            pair = seeing_operations(model.image_tower)
            return task.max_pairs * (pair + text_token_operations(model.text_tower, length))
        case LinearProbeTask():
            return _images(task, corpora).total * seeing_operations(model.image_tower)
        case FineTuningTask() | SegmentationTask() | DetectionTask():
            return _trained(task, model, corpora)


def _num_maps(task: GroundingTask, corpora: CorpusImages) -> int:
    """Maps at most: of every finding of every image, the blank ones included."""
    if task.labels is None:
        return MAX_FINDINGS * (task.num_images + task.num_validation_images)
    images = corpora(task.labels.corpus)
    return images.validation + images.test


def _trained(task: TrainedTask, model: PretrainingConfig, corpora: CorpusImages) -> int:
    """All shares: steps, looks at validation images, and the test images once."""
    images, settings = _images(task, corpora), task.settings
    network = label_operations(model.image_tower, settings, _num_labels(task))
    looks = math.ceil(settings.steps / settings.validate_every_steps)
    looks += isinstance(task, SegmentationTask)  # once more, to choose thresholds
    seen = looks * images.validation + images.test
    towers = 1 if isinstance(task, FineTuningTask) else 2  # the untrained one too
    one = settings.steps * network.step + seen * network.image
    return towers * len(settings.shares) * one


def _images(task: TrainedTask | LinearProbeTask, corpora: CorpusImages) -> SplitImages:
    labels = task.labels
    if isinstance(labels, PhantomLabels):
        return SplitImages(
            train=labels.num_train_images,
            validation=labels.num_validation_images,
            test=labels.num_test_images,
        )
    return corpora(labels.corpus)


def _num_labels(task: TrainedTask) -> int:
    if not isinstance(task, FineTuningTask):
        return len(task.settings.findings)
    if isinstance(task.labels, PhantomLabels):
        return len(Finding)
    return len(labels_of(task.labels.label_list))
