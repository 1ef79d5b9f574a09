"""What is left of a study in floating-point operations: counted from its plan, nothing is timed.

Imports torch, by way of what counts: for `--estimate` alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flows.evaluation_operations import CorpusImages, evaluation_operations
from flows.plans import DatasetPlan
from flows.study_plans import Algorithm, SplitImages
from flows.study_preparation import has_release
from flows.study_work import StudyWork
from models.painters.diffusion.config import DiffusersConfig
from models.studies.generation_operations import painting_operations, writing_operations
from models.studies.training_operations import (
    loss_operations,
    text_operations,
    tower_operations,
)
from models.writers.language_model.configs import LanguageModelConfig, VllmConfig
from storage.corpora import corpus_info, read_corpus
from storage.errors import EngineUnavailable
from storage.objects import ObjectStore
from storage.records import Split


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of work.

    Attributes:
        what: In words.
        count: How many of the unit are left.
        unit: Of the count.
        each: FLOP of one.
    """

    what: str
    count: int
    unit: str
    each: int

    @property
    def in_all(self) -> int:
        """FLOP of all that are left."""
        return self.count * self.each


@dataclass(frozen=True, slots=True)
class StudyOperations:
    """What is left.

    Attributes:
        rows: Trainings, what they are measured by, and datasets.
        not_counted: What is left out of the rows, each with its reason.
    """

    rows: tuple[Row, ...]
    not_counted: tuple[str, ...]

    @property
    def in_all(self) -> int:
        """FLOP of all rows."""
        return sum(row.in_all for row in self.rows)


def study_operations(work: StudyWork) -> StudyOperations:
    """Count what a study still has to do; needs no data, no weights and no device."""
    tally = _Tally()
    corpora = images_of_corpora(work)
    left = work.unfinished()
    for algorithm in work.plan.algorithms:
        if num_cells := sum(cell.algorithm == algorithm.name for cell in left):
            _count_training(tally, algorithm, num_cells)
            _count_evaluation(tally, work, algorithm, num_cells, corpora)
    for dataset in work.plan.datasets:
        if not has_release(work.store, dataset.name):
            _count_writing(tally, dataset)
            _count_painting(tally, dataset)
    return StudyOperations(tuple(tally.rows), tuple(dict.fromkeys(tally.not_counted)))


class _Tally:
    """Rows and reasons as they come."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.not_counted: list[str] = []

    def add(self, what: str, count: int, unit: str, parts: Mapping[str, Callable[[], int]]) -> None:
        """A row of the parts that can be counted, and a reason for each that cannot."""
        found = []
        for part, counted in parts.items():
            try:
                found.append(counted())
            except (EngineUnavailable, ValueError) as error:
                self.not_counted.append(f"{part}: {error}")
        if found:
            self.rows.append(Row(what, count, unit, sum(found)))


def _count_training(tally: _Tally, algorithm: Algorithm, num_cells: int) -> None:
    name, model = algorithm.name, algorithm.model
    if (steps := model.training.steps) is None:
        tally.not_counted.append(
            f"training by {name}: its epochs give as many steps as the arms have pairs"
        )
        return
    parts = {
        f"image tower of {name}": lambda: tower_operations(model),
        f"text tower of {name}": lambda: text_operations(model),
        f"loss of {name}": lambda: loss_operations(model),
    }
    tally.add(f"train {name}", num_cells * steps, "steps", parts)


def _count_evaluation(
    tally: _Tally, work: StudyWork, algorithm: Algorithm, num_cells: int, corpora: CorpusImages
) -> None:
    kinds = evaluation_operations(work.plan.evaluation, algorithm.model, corpora)
    for kind, parts in kinds.items():
        tally.add(f"measure {algorithm.name}: {kind}", num_cells, "cells", parts)


def _count_writing(tally: _Tally, dataset: DatasetPlan) -> None:
    writer = dataset.writer
    if not isinstance(writer, LanguageModelConfig):
        return  # a grammar, or real reports: no network
    if not isinstance(writer, VllmConfig):
        tally.not_counted.append(f"reports of {dataset.name}: written at an address of its own")
        return
    num_tokens = writer.max_findings_tokens + writer.max_impression_tokens
    parts = {f"reports of {dataset.name}": lambda: writing_operations(writer, num_tokens)}
    tally.add(
        f"write {dataset.name}", _num_pairs(dataset), f"reports of {num_tokens} tokens", parts
    )


def _count_painting(tally: _Tally, dataset: DatasetPlan) -> None:
    painter = dataset.painter
    if isinstance(painter, DiffusersConfig):
        parts = {f"images of {dataset.name}": lambda: painting_operations(painter)}
        tally.add(f"paint {dataset.name}", _num_pairs(dataset), "images", parts)
    elif painter.kind != "phantom":
        tally.not_counted.append(f"images of {dataset.name}: painter {painter.kind} is not known")
    if dataset.judge is not None:
        tally.not_counted.append(f"judge of {dataset.name}: how long it reads an image is its own")


def _num_pairs(dataset: DatasetPlan) -> int:
    """The least that are made; tries and reserves come on top."""
    return dataset.target.num_accepted or dataset.target.num_candidates


def images_of_corpora(work: StudyWork) -> CorpusImages:
    """How many images a corpus has: as it lies under the root, else as the plan says."""
    said = {one.name: one.num_images for one in work.plan.corpora}

    def images(corpus: str) -> SplitImages:
        if corpus_info(work.store, corpus) is not None:
            return _images_there(work.store, corpus)
        if (found := said.get(corpus)) is None:
            raise ValueError(
                f"how many images corpus {corpus!r} has is not known before it is here; bring it "
                "in, or say num_images where corpora names it"
            )
        return found

    return images


def _images_there(store: ObjectStore, corpus: str) -> SplitImages:
    opened = read_corpus(store, corpus)
    counts = {split.value: sum(1 for _ in opened.image_notes(split)) for split in Split}
    return SplitImages.model_validate(counts)
