"""Compare training data: every arm by every algorithm from every seed, measured alike.

Real against synthetic against both. Run again, a study trains the cells that it lacks.
"""

from prefect import flow
from prefect.logging import get_run_logger

from flows.cancelled import reports_cancelled
from flows.dispatch import dispatched
from flows.pools import require_workers
from flows.study_arms import PinnedArms, pin_arms
from flows.study_cells import cell_stages, study_cell
from flows.study_estimate import estimate
from flows.study_held_equal import held_equal
from flows.study_images import (
    labels_not_asked,
    require_both_classes,
    require_held_out,
    require_marks,
)
from flows.study_plans import StudyPlan
from flows.study_preparation import bring_in_corpora, make_datasets, require_sources
from flows.study_work import StudyWork, lock_study
from models.studies.results import StudyResults
from tasks.cell_files import last_failure, read_cell, read_figures, read_scored
from tasks.study_report import StudyOutcome, write_study_report


@flow(name="study", flow_run_name="study {plan.name}")
@reports_cancelled
def study(plan: StudyPlan, root: str = "./factory") -> StudyOutcome:
    """Train every cell of a study that has no result, then write the report.

    Args:
        plan: Arms, algorithms, seeds, and what is measured.
        root: Folder or s3://bucket/prefix that holds data, models and the study.
    """
    require_workers((study_cell.name,), plan.execution, root)
    work = lock_study(plan, root)
    require_sources(work)
    get_run_logger().info("%s", estimate(work).as_text())
    bring_in_corpora(work)
    make_datasets(work)
    require_held_out(work)
    require_both_classes(work)
    require_marks(work)
    arms = pin_arms(work)
    with dispatched(work) as run_cells:
        run_cells(cell_stages(work, cell) for cell in work.unfinished())
    return write_study_report(work.root, study_results(work, arms), plan.margin)


def study_results(work: StudyWork, arms: PinnedArms) -> StudyResults:
    """All that a study found so far."""
    plan, files, finished = work.plan, (work.store, work.layout), work.finished()
    found = [read_cell(*files, cell) for cell in finished]
    return StudyResults(
        name=plan.name,
        arms=tuple(arm.name for arm in plan.arms),
        algorithms=tuple(one.name for one in plan.algorithms),
        seeds=plan.seeds,
        scored=tuple(one for cell in finished for one in read_scored(*files, cell)),
        figures=tuple(one for cell in finished for one in read_figures(*files, cell)),
        curves=tuple(one.curve for one in found),
        failed=tuple(last_failure(*files, cell) for cell in work.unfinished()),
        held_equal=held_equal(plan, arms),
        how_made={arm.name: arm.made(work.root) for arm in arms.arms},
        training_counts={arm.name: arm.findings for arm in arms.arms},
        cannot_show=(*plan.cannot_show, *labels_not_asked(work)),
        judged=tuple(one.figure for one in plan.judged),
    )
