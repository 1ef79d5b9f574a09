"""Make a dataset: plan, write, paint, judge, publish, release. Read this file first."""

from prefect import flow

from flows.cancelled import reports_cancelled
from flows.dispatch import ShardStage, Stages, dispatched
from flows.plans import DatasetPlan, ExecutionPlan
from flows.pools import require_dispatch
from flows.shards import (
    UNIT_RUNNER,
    ShardSummary,
    open_judging,
    open_painting,
    open_writing,
    settle_units,
    unjudged_units,
    unpainted_units,
    unwritten_units,
)
from flows.work import ShardRef, Work, lock_work, open_work
from storage.publication import PUBLISHED, SEARCHED
from storage.releases import Release
from tasks.acceptance import finding_acceptance
from tasks.artifacts import show_acceptance, show_findings, show_release
from tasks.events import announce_release
from tasks.planning import plan_samples
from tasks.publishing import collect_garbage, index_reports, publish_rows, release_tables

DEFAULT_ROOT = "./factory"


@flow(name="generate-dataset", flow_run_name="generate {plan.name}")
@reports_cancelled
def generate_dataset(plan: DatasetPlan, root: str = DEFAULT_ROOT) -> Release:
    """Make a balanced, verified set of image-report pairs (study 1).

    Args:
        plan: What to generate, with which engines, and what is accepted.
        root: Folder or s3://bucket/prefix that holds the dataset.
    """
    require_dispatch(plan, root)
    return _generate(lock_work(plan, root))


@flow(name="retry-failed-units", flow_run_name="retry {dataset}")
@reports_cancelled
def retry_failed_units(
    dataset: str, root: str = DEFAULT_ROOT, execution: ExecutionPlan | None = None
) -> Release:
    """Run exactly the units that a dataset lacks, then publish and release it.

    Args:
        dataset: Name of a dataset whose plan is locked.
        root: Folder or s3://bucket/prefix that holds it.
        execution: How to run; the default when not given.
    """
    work = open_work(root, dataset, execution)
    work.require_engines()
    require_dispatch(work.plan, root)
    return _generate(work)


def _generate(work: Work) -> Release:
    with dispatched(work) as run_shards:
        plan_samples(work.dataset, work.lineage(), work.drawing())
        for shards in work.wanted_shards():  # reserves only while accepted pairs lack
            run_shards(_stages(work, shard) for shard in shards)
        return publish_dataset(work.plan.name, work.root)


def _stages(work: Work, shard: ShardRef) -> Stages:
    yield ShardStage(write_report_shard, shard, unwritten_units)
    for again in work.rounds_of(shard):  # one round, and more while the judge says no
        yield ShardStage(paint_image_shard, again, unpainted_units)
        if work.plan.judge:
            yield ShardStage(judge_image_shard, again, unjudged_units)


@flow(
    name="write-report-shard",
    flow_run_name="write {shard.dataset} shard {shard.number}",
    task_runner=UNIT_RUNNER,
)
def write_report_shard(shard: ShardRef) -> ShardSummary:
    """Write a report for every sample, tag it, and keep it if it says what was asked (step 4).

    Args:
        shard: Which units of which dataset; dispatch fills it in.
    """
    with open_writing(shard) as work:
        return settle_units(work, unwritten_units(shard), shard.execution)


@flow(
    name="paint-image-shard",
    flow_run_name="paint {shard.dataset} shard {shard.number} round {shard.round_number}",
    task_runner=UNIT_RUNNER,
)
def paint_image_shard(shard: ShardRef) -> ShardSummary:
    """Paint an image for every kept report, and keep it if the image gates agree (steps 5, 6).

    Args:
        shard: Which units of which dataset; dispatch fills it in.
    """
    with open_painting(shard) as work:
        return settle_units(work, unpainted_units(shard), shard.execution)


@flow(
    name="judge-image-shard",
    flow_run_name="judge {shard.dataset} shard {shard.number} round {shard.round_number}",
    task_runner=UNIT_RUNNER,
)
def judge_image_shard(shard: ShardRef) -> ShardSummary:
    """Ask six questions about every kept image; what is refused is painted again (step 6).

    Args:
        shard: Which units of which dataset; dispatch fills it in.
    """
    with open_judging(shard) as work:
        return settle_units(work, unjudged_units(shard), shard.execution)


@flow(name="publish-dataset", flow_run_name="publish {dataset}")
def publish_dataset(dataset: str, root: str = DEFAULT_ROOT) -> Release:
    """Move settled units into the Lance tables exactly once, and release them if none lacks.

    Args:
        dataset: Name of a dataset whose plan is locked.
        root: Folder or s3://bucket/prefix that holds it.
    """
    work = open_work(root, dataset)
    selection = work.compared_selection()
    show_acceptance(work.plan.name, selection)
    show_findings(work.plan.name, finding_acceptance(work.dataset, selection))
    for table in PUBLISHED:
        publish_rows(work.dataset, table, selection, work.lineage())
    collect_garbage(work.dataset, selection)
    work.require_settled(selection)
    for table in SEARCHED:
        index_reports(work.dataset, table, work.lineage())
    release = release_tables(work.dataset, work.lineage(), work.plan.target.num_accepted, selection)
    show_release(root, release)
    announce_release(root, release)
    return release
