"""What a study needs before its first cell: corpora and datasets, brought in or made."""

import os
import re
from pathlib import Path

from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.study_plans import StudyCorpus
from flows.study_work import StudyWork
from flows.work import lock_work
from storage.corpora import corpus_info
from storage.errors import ObjectMissing
from storage.ingestion import corpus_reader
from storage.layout import DatasetLayout
from storage.objects import ObjectStore
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
