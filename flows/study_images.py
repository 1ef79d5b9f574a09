"""The real images that a study measures on: held out, of two classes, and what nothing asks of."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from flows.downstream_plans import CorpusMasks, FineTuningTask, LinearProbeTask
from flows.study_plans import StudyPlan
from flows.study_work import StudyWork
from flows.training_data_plans import CorpusSource
from flows.training_plans import CorpusSet
from flows.work import open_work
from models.downstream.finding_scores import one_class
from models.downstream.metrics import UNKNOWN
from models.vocabulary.label_lists import LabelList, labels_of
from storage.corpora import ImageNote, corpus_info, read_corpus
from storage.records import Split
from tasks.corpus_masks import marked_corpus

_MOST_NAMED = 8  # labels in one line


def require_held_out(work: StudyWork) -> None:
    """Refuse to measure on patients whom an arm may have been trained on.

    A corpus of one collection under two names has the same patients, so collections are compared.
    Of a painter is not known what it was trained on.

    Raises:
        ValueError: Names the set and the corpus.
    """
    infos = {corpus: corpus_info(work.store, corpus) for corpus in _trained_on(work)}
    trained = {info.collection: corpus for corpus, info in infos.items() if info is not None}
    for one in work.plan.evaluation.sets:
        if not isinstance(one, CorpusSet) or one.split in (Split.VALIDATION, Split.TEST):
            continue
        collection = read_corpus(work.store, one.corpus).info.collection
        if (corpus := trained.get(collection)) is not None:
            raise ValueError(
                f"set {one.name!r} must be of patients that no arm is trained on, got split "
                f"{one.split or 'all'} of corpus {one.corpus!r}, and arms learn from {corpus!r}; "
                "name split test"
            )


def require_both_classes(work: StudyWork) -> None:
    """Refuse real images on which no finding could be told apart, before anything is trained.

    Raises:
        ValueError: Names the corpus and the split.
    """
    for corpus, label_list, split in _measured_on(work.plan):
        wanted = labels_of(label_list)
        notes = list(read_corpus(work.store, corpus).image_notes(split))
        labels = [[_stated(label.value, note) for label in wanted] for note in notes]
        labels_NF = np.array(labels, np.int8).reshape(-1, len(wanted))
        if all(one_class(labels_N) for labels_N in labels_NF.T):
            others = _other_labels(notes, label_list)
            raise ValueError(
                f"{split or 'all'} images of corpus {corpus!r} must show a label of {label_list} "
                f"as present and as absent, got one class only in {len(labels_NF)} images"
                f"{f' (their labels are {others})' if others else ''}; "
                "evaluate on another corpus, split or label_list"
            )


def require_marks(work: StudyWork) -> None:
    """Refuse a corpus without the masks, or boxes, that a task is to be measured on.

    Raises:
        ValueError: Names the corpus, and what else it could be asked for.
    """
    for task in work.plan.evaluation.tasks:
        labels = getattr(task, "labels", None)
        if isinstance(labels, CorpusMasks):
            marked_corpus(work.root, labels.corpus, labels.masks)


def labels_not_asked(work: StudyWork) -> list[str]:
    """What real test images are labelled with beside what they are classified by, a line a set."""
    lines = []
    for corpus, label_list, split in _measured_on(work.plan):
        if split in (Split.TRAIN, Split.VALIDATION):
            continue
        notes = read_corpus(work.store, corpus).image_notes(split)
        if others := _other_labels(notes, label_list):
            lines.append(
                f"Of {corpus}'s {split or 'all'} images some carry labels that are none of "
                f"{label_list}, and nothing is asked of them: {others}."
            )
    return lines


def _measured_on(plan: StudyPlan) -> list[tuple[str, LabelList, Split | None]]:
    """Corpora whose images are classified, by which labels, and which of them."""
    found: list[tuple[str, LabelList, Split | None]] = [
        (one.corpus, one.label_list, one.split)
        for one in plan.evaluation.sets
        if isinstance(one, CorpusSet)
    ]
    for task in plan.evaluation.tasks:
        if isinstance(task, LinearProbeTask | FineTuningTask) and task.labels.kind == "corpus":
            found += [(task.labels.corpus, task.labels.label_list, split) for split in Split]
    return list(dict.fromkeys(found))


def _other_labels(notes: Iterable[ImageNote], label_list: LabelList) -> str:
    """Labels that are none of the list, the most frequent first, with their images."""
    asked = {label.value for label in labels_of(label_list)}
    counts = Counter(label for note in notes for label in note.labels if label not in asked)
    named = [f"{label} ({count})" for label, count in counts.most_common(_MOST_NAMED)]
    left = len(counts) - len(named)
    return ", ".join([*named, f"{left} more"] if left else named)


def _stated(label: str, note: ImageNote) -> int:
    if label in note.labels:
        return 1
    return UNKNOWN if label in note.uncertain_labels else 0


def _trained_on(work: StudyWork) -> Iterator[str]:
    """Corpora whose training patients an arm learns from, itself or through a dataset."""
    yield from (one.corpus for one in work.plan.sources() if isinstance(one, CorpusSource))
    for dataset in work.plan.named_datasets():
        plan = open_work(work.root, dataset).plan
        named = (getattr(part, "corpus", None) for part in (plan.writer, plan.entities))
        yield from (corpus for corpus in named if corpus is not None)
