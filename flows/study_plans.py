"""What a user fills in to compare training data: arms, algorithms, seeds, and what is measured.

Arms and algorithms are lists, not mappings: their order is part of the plan (the first arm is the
reference), and a server may keep the keys of a mapping in an order of its own.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from flows.downstream_plans import (
    CorpusBoxes,
    CorpusLabels,
    CorpusMasks,
    DownstreamTask,
    RetrievalTask,
)
from flows.end_points import EndPoint, require_judgeable
from flows.plans import DatasetPlan, Name, Plan
from flows.training_data_plans import CorpusSource, Mixture, ReleaseSource
from flows.training_plans import CorpusSet, EvaluatePlan, EvaluationSet
from models.downstream.zero_shot import ZeroShotConfig
from models.studies.results import Cell
from models.vlp.configs import PretrainingConfig
from storage.readers.kinds import CorpusKind
from storage.records import Split

MAX_CELL_NAME = 48  # a run's name adds its releases, and has 64 at most (flows.plans.Name)


class Arm(Plan):
    """What one arm of a study is trained on."""

    name: Name = Field(description="Of the arm, in the report.")
    data: Mixture = Field(description="Its training pairs.")


class Algorithm(Plan):
    """One way to pre-train, the same for every arm."""

    name: Name = Field(description="Of the algorithm, in the report.")
    model: PretrainingConfig = Field(
        description="Objective, towers and training; its seed gives way to those of the study."
    )


class SplitImages(Plan):
    """How many images a corpus has in each split."""

    train: int = Field(0, ge=0, description="To train on.")
    validation: int = Field(0, ge=0, description="To choose by.")
    test: int = Field(0, ge=0, description="To measure on.")

    @property
    def total(self) -> int:
        """Of all splits."""
        return self.train + self.validation + self.test

    def of(self, split: Split) -> int:
        """Of one."""
        return {Split.TRAIN: self.train, Split.VALIDATION: self.validation}.get(split, self.test)


class StudyCorpus(Plan):
    """Real data that the study brings in where it is absent."""

    name: Name = Field(description="Of the corpus.")
    kind: CorpusKind = Field(description="Layout of the source.")
    source: str = Field(
        min_length=1,
        max_length=4096,
        description="File or folder as it was downloaded; ${NAME} stands for a variable of the "
        "environment, ${NAME:-this} for one that may be unset.",
    )
    num_images: SplitImages | None = Field(
        None, description="As it is published; --estimate counts by them until it is here."
    )


class StudyEvaluation(Plan):
    """What every cell is measured on."""

    sets: tuple[EvaluationSet, ...] = Field((), description="Sets to classify, zero-shot.")
    zero_shot: ZeroShotConfig = Field(
        default_factory=ZeroShotConfig, description="How the models are asked."
    )
    tasks: tuple[DownstreamTask, ...] = Field((), description="What else to measure.")

    def of_run(self, run: str) -> EvaluatePlan:
        """For one trained run."""
        return EvaluatePlan(run=run, sets=self.sets, zero_shot=self.zero_shot, tasks=self.tasks)

    @model_validator(mode="after")
    def _is_an_evaluation(self) -> "StudyEvaluation":
        try:
            self.of_run("any")
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
        return self


class StudyExecution(Plan):
    """Where and how the cells run; no part of a study's identity."""

    dispatch: Literal["inline", "work-pool"] = Field(
        "inline",
        description="Where cells run: in this process one after another, or as runs of their own "
        "in Prefect's work pools, one GPU each.",
    )
    queue: Literal["default", "urgent"] = Field(
        "default", description="Queue of a work pool that cells wait in; urgent ones go first."
    )
    cell_attempts: int = Field(
        3,
        ge=1,
        le=20,
        description="Runs of a cell in a work pool, as long as one ends without a word, as when "
        "its host dies; a cell that says why it failed is not run again at once.",
    )

    @property
    def shard_attempts(self) -> int:
        """A cell is a shard of one stage."""
        return self.cell_attempts


class StudyPlan(Plan):
    """A comparison of training data by what models trained on it can do."""

    name: Name = Field(
        description="Of the study: a-z, 0-9, - and _. Another plan under a name that is taken is "
        "refused."
    )
    description: str = Field("", max_length=2000, description="For people; no part of identity.")
    corpora: tuple[StudyCorpus, ...] = Field(
        (), description="Real data to bring in first, where it is absent."
    )
    datasets: tuple[DatasetPlan, ...] = Field(
        (), description="Datasets to make first, where they have no release."
    )
    arms: tuple[Arm, ...] = Field(
        min_length=1, max_length=64, description="The first is what the others are compared with."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        min_length=1, max_length=16, description="Each trains every arm."
    )
    seeds: tuple[int, ...] = Field(
        (0, 1, 2), min_length=1, max_length=100, description="Each trains every arm once."
    )
    equal: Literal["steps", "epochs"] = Field(
        "steps",
        description="What is equal between arms: optimiser steps, named by each algorithm's "
        "training.steps, or passes over their own pairs, by training.epochs.",
    )
    evaluation: StudyEvaluation = Field(
        description="Sets and tasks that every cell is measured on."
    )
    margin: float | None = Field(
        None,
        gt=0,
        lt=0.5,
        description="Difference in AUROC that would not matter to you, fixed before the study. "
        "None: the report says nothing of equivalence.",
    )
    judged: tuple[EndPoint, ...] = Field(
        (),
        max_length=100,
        description="Figures that are no AUROC (Dice, mAP, recall) and are judged too, chosen "
        "before the study: their p-values are corrected together with those of AUROC, so that each "
        "more makes differences harder to show.",
    )
    cannot_show: tuple[str, ...] = Field(
        (), max_length=100, description="Limits of the study, a line each, for its report."
    )
    execution: StudyExecution = Field(
        default_factory=StudyExecution,
        description="Where and how the cells run; may differ from run to run.",
    )

    @property
    def cells(self) -> list[Cell]:
        """Every training, seed by seed: the first ones compare all arms once."""
        return [
            Cell(arm.name, algorithm.name, seed)
            for seed in self.seeds
            for algorithm in self.algorithms
            for arm in self.arms
        ]

    def model_name(self, cell: Cell) -> str:
        """What a cell's model is called; its run's name adds the releases."""
        return f"{self.name}-{cell.name}"

    def model_of(self, cell: Cell) -> PretrainingConfig:
        """What a cell trains."""
        (model,) = (one.model for one in self.algorithms if one.name == cell.algorithm)
        training = model.training.model_copy(update={"seed": cell.seed})
        return model.model_copy(update={"training": training})

    def sources(self) -> Iterator[ReleaseSource | CorpusSource]:
        """All sources of all arms."""
        for arm in self.arms:
            for phase in arm.data.phases:
                yield from phase.sources

    def named_corpora(self) -> list[str]:
        """Corpora that are trained or measured on, each once."""
        trained = [one.corpus for one in self.sources() if isinstance(one, CorpusSource)]
        classified = [one.corpus for one in self.evaluation.sets if isinstance(one, CorpusSet)]
        labels = [getattr(task, "labels", None) for task in self.evaluation.tasks]
        of_corpora = (CorpusLabels, CorpusBoxes, CorpusMasks)
        probed = [one.corpus for one in labels if isinstance(one, of_corpora)]
        return list(dict.fromkeys([*trained, *classified, *probed]))

    def named_datasets(self) -> list[str]:
        """Datasets that are trained or measured on, each once."""
        trained = [one.dataset for one in self.sources() if isinstance(one, ReleaseSource)]
        tasks = self.evaluation.tasks
        retrieved = [task.dataset for task in tasks if isinstance(task, RetrievalTask)]
        return list(dict.fromkeys([*trained, *retrieved]))

    @model_validator(mode="after")
    def _each_once(self) -> "StudyPlan":
        _require_different("arms", (arm.name for arm in self.arms))
        _require_different("algorithms", (one.name for one in self.algorithms))
        _require_different("seeds", map(str, self.seeds))
        _require_different("corpora", (one.name for one in self.corpora))
        _require_different("datasets", (one.name for one in self.datasets))
        _require_different("judged figures", (f"{one.task}: {one.metric}" for one in self.judged))
        require_judgeable(self.judged, self.evaluation.tasks)
        if (negative := min(self.seeds)) < 0:
            raise ValueError(f"seeds must be 0 or more, got {negative}; name another")
        longest = max((self.model_name(cell) for cell in self.cells), key=len)
        if len(longest) > MAX_CELL_NAME:
            raise ValueError(
                f"a cell's model is named <study>-<arm>-<algorithm>-s<seed>, at most "
                f"{MAX_CELL_NAME} characters, got {longest!r}; shorten one of them"
            )
        return self

    @model_validator(mode="after")
    def _arms_are_treated_alike(self) -> "StudyPlan":
        for one in self.algorithms:
            training = one.model.training
            if (training.steps is None) == (self.equal == "steps"):
                do = "name training.steps" if self.equal == "steps" else "leave training.steps out"
                raise ValueError(
                    f"equal {self.equal}: algorithm {one.name!r} must {do}, got steps "
                    f"{training.steps}; change it, or what is equal"
                )
            if training.patience is not None:
                raise ValueError(
                    f"algorithm {one.name!r} must not stop early, or arms differ in steps too; "
                    "leave training.patience out"
                )
        return self


def _require_different(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} must differ, got {name!r} twice; rename or remove one")
        seen.add(name)
