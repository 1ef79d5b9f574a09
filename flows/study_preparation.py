"""What a study needs before its first cell: corpora, datasets, and images that tell something."""

import os
import re
from pathlib import Path

import numpy as np

from flows.downstream_plans import FineTuningTask, LinearProbeTask
from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.study_plans import StudyCorpus, StudyPlan
from flows.study_work import StudyWork
from flows.training_plans import CorpusSet
from flows.work import lock_work
from models.downstream.finding_scores import one_class
from models.downstream.metrics import UNKNOWN
from models.vocabulary.label_lists import LabelList, labels_of
from storage.corpora import ImageNote, corpus_info, read_corpus
from storage.errors import ObjectMissing
from storage.ingestion import corpus_reader
from storage.layout import DatasetLayout
from storage.objects import ObjectStore
from storage.records import Split
from storage.releases import open_release

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def require_sources(work: StudyWork) -> None:
    """Refuse a study whose data is neither there nor to be brought in or made by it.

    Raises:
        ValueError: Names the corpus or dataset, or what is wrong with a corpus's source.
    """
    plan = work.plan
    coming = {one.name for one in plan.corpora}
    for name in plan.named_corpora():
        if name not in coming and corpus_info(work.store, name) is None:
            raise ValueError(
                f"study {plan.name!r} needs a corpus {name!r} under {work.root}, found none; bring "
                "it in with cxr-factory ingest, or name its source in corpora"
            )
    made = {one.name for one in plan.datasets}
    for name in plan.named_datasets():
        if name not in made and not has_release(work.store, name):
            raise ValueError(
                f"study {plan.name!r} needs a release of dataset {name!r} under {work.root}, found "
                "none; run cxr-factory generate, or put its plan into datasets"
            )
    for corpus in absent_corpora(work):
        corpus_reader(corpus.kind, source_of(corpus)).source_hash()


def bring_in_corpora(work: StudyWork) -> None:
    """Ingest the plan's corpora that the root lacks."""
    for corpus in absent_corpora(work):
        ingest_corpus(corpus.kind, str(source_of(corpus)), corpus.name, work.root)


def make_datasets(work: StudyWork) -> None:
    """Generate the plan's datasets that have no release.

    Raises:
        PlanMismatch: If one has a release of another plan.
    """
    for dataset in work.plan.datasets:
        if has_release(work.store, dataset.name):
            lock_work(dataset, work.root)
        else:
            generate_dataset(dataset, work.root)


def require_both_classes(work: StudyWork) -> None:
    """Refuse real images on which no finding could be told apart, before anything is trained.

    Raises:
        ValueError: Names the corpus and the split.
    """
    for corpus, label_list, split in _measured_on(work.plan):
        wanted = labels_of(label_list)
        notes = read_corpus(work.store, corpus).image_notes(split)
        labels = [[_stated(label.value, note) for label in wanted] for note in notes]
        labels_NF = np.array(labels, np.int8).reshape(-1, len(wanted))
        if all(one_class(labels_N) for labels_N in labels_NF.T):
            raise ValueError(
                f"{split or 'all'} images of corpus {corpus!r} must show a label of {label_list} "
                f"as present and as absent, got one class only in {len(labels_NF)} images; "
                "evaluate on another corpus, split or label_list"
            )


def absent_corpora(work: StudyWork) -> list[StudyCorpus]:
    """Those of the plan's corpora that are to be brought in."""
    return [one for one in work.plan.corpora if corpus_info(work.store, one.name) is None]


def has_release(store: ObjectStore, dataset: str) -> bool:
    """Whether a dataset can be trained on."""
    try:
        open_release(store, DatasetLayout(dataset))
    except ObjectMissing:
        return False
    return True


def source_of(corpus: StudyCorpus) -> Path:
    """Where a corpus is brought in from, variables of the environment filled in.

    Raises:
        ValueError: If one is not set and has no default.
    """

    def value(found: re.Match[str]) -> str:
        name, default = found.groups()
        if (said := os.environ.get(name, default)) is None:
            raise ValueError(
                f"corpus {corpus.name!r}: its source {corpus.source!r} needs the environment's "
                f"variable {name}, which is not set; set it, or write the folder in its place"
            )
        return said

    return Path(_VARIABLE.sub(value, corpus.source)).expanduser()


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


def _stated(label: str, note: ImageNote) -> int:
    if label in note.labels:
        return 1
    return UNKNOWN if label in note.uncertain_labels else 0
