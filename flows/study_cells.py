"""One training of a study and what it is measured by; a run of its own in Prefect."""

import time
from collections.abc import Callable
from functools import wraps

from prefect import flow
from prefect.logging import get_run_logger

from flows.dispatch import ShardStage, Stages
from flows.evaluation import evaluate
from flows.study_arms import read_arms
from flows.study_estimate import estimate
from flows.study_evaluation import cell_evaluation
from flows.study_work import CellRef, StudyWork, open_study
from models.studies.results import Cell
from storage.errors import CellFailed, RunCancelled, StoreFull, StoreRefused
from tasks.cell_files import finished_cells, note_failure, num_failures, put_cell
from tasks.study_cells import gather_cell
from tasks.training_mixture import train_mixture

# What fails one cell so and would fail all.
_SHARED_FATE = (StoreFull, StoreRefused, RunCancelled)


def _notes_failure(body: Callable[[CellRef], str]) -> Callable[[CellRef], str]:
    """Have a cell's failure kept with its reason, so that the study's report can state it."""

    @wraps(body)
    def run(cell: CellRef) -> str:
        try:
            return body(cell)
        except _SHARED_FATE:
            raise
        except Exception as error:
            work = open_study(cell.root, cell.study)
            reason = str(error) or type(error).__name__
            note_failure(work.store, work.layout, cell.cell, reason)
            raise CellFailed(f"{cell.said}: {reason}") from error

    return run


@flow(name="study-cell", flow_run_name="cell of {cell.study}: {cell.said}")
@_notes_failure
def study_cell(cell: CellRef) -> str:
    """Train one arm of a study by one algorithm from one seed, and measure it.

    Args:
        cell: Which cell of which study; dispatch fills it in.

    Returns:
        The name of its model's run.
    """
    work = open_study(cell.root, cell.study)
    plan, one = work.plan, cell.cell
    data = read_arms(work).data_of(cell.arm).parts()
    trained = train_mixture(work.root, plan.model_name(one), data, plan.model_of(one))
    asked = cell_evaluation(plan, one, trained.run, work.root)
    began = time.perf_counter()
    measured = evaluate(asked.plan, work.root)
    seconds = time.perf_counter() - began
    found = gather_cell(work.root, one, trained.run, measured, seconds, asked.left_out)
    put_cell(work.store, work.layout, found)
    return trained.run


def cell_stages(work: StudyWork, cell: Cell) -> Stages:
    """A cell as dispatch runs it: lacking until it has a result, or says why it has none."""
    failed_before = num_failures(work.store, work.layout, cell)

    def lacking(_: CellRef) -> list[Cell]:
        ended = cell.name in finished_cells(work.store, work.layout)
        return (
            [] if ended or num_failures(work.store, work.layout, cell) > failed_before else [cell]
        )

    yield ShardStage(study_cell, work.ref(cell), lacking)
    found = estimate(work)
    get_run_logger().info(
        "%d of %d cells finished; time left: %s",
        *(found.num_finished, found.num_cells, found.time_left()),
    )
