"""A locked study: what its flows open first, and what its cells have come to."""

from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from flows.plan_files import parse_plan
from flows.plans import Name
from flows.study_plans import StudyExecution, StudyPlan
from models.studies.results import Cell
from storage.errors import ObjectMissing, PlanMismatch
from storage.identity import fingerprint
from storage.layout import StudyLayout
from storage.objects import ObjectStore, open_store
from storage.plan_lock import lock_plan, read_plan
from tasks.cell_files import finished_cells

# For people, or where things lie and run: no part of what is compared.
_NOT_CONTENT: dict[str, Any] = {
    "name": True,
    "description": True,
    "corpora": True,
    "cannot_show": True,
    "execution": True,
    "datasets": {"__all__": {"description", "execution"}},
}


class CellRef(BaseModel):
    """One training of a study: what crosses Prefect instead of data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: str = Field(description="Folder or s3://bucket/prefix that holds the study.")
    study: Name
    arm: Name
    algorithm: Name
    seed: int = Field(ge=0, description="Of the training.")
    queue: str = Field("default", description="Of a work pool, that the run waits in.")

    @property
    def cell(self) -> Cell:
        """Which of the study's."""
        return Cell(self.arm, self.algorithm, self.seed)

    @property
    def place(self) -> str:
        """Names it in the study."""
        return self.cell.name

    @property
    def said(self) -> str:
        """The cell in words."""
        return f"{self.arm}, {self.algorithm}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class StudyWork:
    """A study with the plan it is locked to."""

    plan: StudyPlan
    fingerprint: str
    store: ObjectStore
    layout: StudyLayout

    @property
    def execution(self) -> StudyExecution:
        """Where and how cells run."""
        return self.plan.execution

    @property
    def root(self) -> str:
        """Absolute: a worker runs in another folder."""
        return self.store.root

    def ref(self, cell: Cell) -> CellRef:
        """What the run of a cell is handed."""
        return CellRef(
            root=self.root,
            study=self.plan.name,
            arm=cell.arm,
            algorithm=cell.algorithm,
            seed=cell.seed,
            queue=self.plan.execution.queue,
        )

    def finished(self) -> list[Cell]:
        """Cells that have their result, in the order of the plan."""
        names = finished_cells(self.store, self.layout)
        return [cell for cell in self.plan.cells if cell.name in names]

    def unfinished(self) -> list[Cell]:
        """Cells to run, failed ones again."""
        names = finished_cells(self.store, self.layout)
        return [cell for cell in self.plan.cells if cell.name not in names]


def study_work(plan: StudyPlan, root: str) -> StudyWork:
    """A study as its plan says it; writes nothing."""
    return StudyWork(plan, fingerprint(_content(plan)), open_store(root), StudyLayout(plan.name))


def lock_study(plan: StudyPlan, root: str) -> StudyWork:
    """Pin all that affects a study's figures, or find it pinned the same.

    Raises:
        PlanMismatch: If a study of this name has another plan; names what differs.
    """
    work = study_work(plan, root)
    named = lock_plan(work.store, work.layout, _content(plan))
    return replace(work, fingerprint=named)


def open_study(root: str, name: str) -> StudyWork:
    """The study of this name with its locked plan.

    Raises:
        ValueError: If there is no such study under the root.
        PlanMismatch: If this installation does not know all that the plan says.
    """
    store, layout = open_store(root), StudyLayout(name)
    try:
        content = read_plan(store, layout)
    except ObjectMissing as error:
        raise ValueError(
            f"expected a study {name!r} under {root}, found none; run cxr-factory study, or name "
            "another root"
        ) from error
    try:
        plan = parse_plan(content | {"name": name}, StudyPlan, source=f"plan.lock.json of {name}")
    except ValueError as error:
        raise PlanMismatch(
            f"{error}; another version of the factory began the study; install the same here"
        ) from error
    return StudyWork(plan, fingerprint(content), store, layout)


def _content(plan: StudyPlan) -> dict[str, Any]:
    """What is compared; a study that judges no figure beside AUROC is as before there were any."""
    content = plan.model_dump(mode="json", exclude=_NOT_CONTENT)
    if not plan.judged:
        del content["judged"]
    return content
