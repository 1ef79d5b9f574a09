"""Commands on datasets: make, watch, release and export one."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.command_options import (
    DEFAULT_ROOT,
    AsJson,
    Dispatch,
    PlanFile,
    Root,
    complain,
    show,
)


def demo(root: Root = DEFAULT_ROOT) -> None:
    """The whole factory, small, on this machine, without downloads."""
    from flows.demo import run_demo
    from flows.own_server import ensure_server

    ensure_server()
    run_demo(root)


def generate(
    plan_file: PlanFile,
    root: Root = DEFAULT_ROOT,
    name: Annotated[str | None, typer.Option(help="Another dataset name than the plan's.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="FIELD=VALUE in place of the plan's, as writer='{kind: grammar}'."
        ),
    ] = None,
    dispatch: Annotated[
        Dispatch | None, typer.Option(help="Where shards run, in place of the plan's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a dataset, or go on where a run was cut off; ends with a release."""
    from flows.plan_files import load_plan
    from flows.plans import DatasetPlan
    from flows.work import open_work, plan_content

    where = [f"execution.dispatch={dispatch}"] if dispatch else []
    plan = load_plan(plan_file, DatasetPlan, [*(changes or ()), *where])
    plan = plan.model_copy(update={"name": name}) if name else plan
    plan_content(plan, root)  # an impossible plan ends here, before a server is started

    from flows.generate import generate_dataset
    from flows.pools import require_server
    from flows.progress import dataset_bars

    require_server(plan.execution)
    with dataset_bars(lambda: open_work(root, plan.name)):
        generate_dataset(plan, root)
    _report_dataset(root, plan.name, as_json)


def retry(
    dataset: str,
    root: Root = DEFAULT_ROOT,
    dispatch: Annotated[Dispatch, typer.Option(help="Where shards run.")] = "inline",
    as_json: AsJson = False,
) -> None:
    """Run exactly the units that a dataset lacks, then release it."""
    from flows.generate import retry_failed_units
    from flows.plans import ExecutionPlan
    from flows.pools import require_server
    from flows.progress import dataset_bars
    from flows.work import open_work

    execution = ExecutionPlan(dispatch=dispatch)
    require_server(execution)
    with dataset_bars(lambda: open_work(root, dataset)):
        retry_failed_units(dataset, root, execution)
    _report_dataset(root, dataset, as_json)


def status(dataset: str, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """What a dataset has and lacks."""
    from flows.status import dataset_status
    from flows.summary import status_text
    from flows.work import open_work

    found = dataset_status(open_work(root, dataset))
    show(found.as_dict(), status_text(found), as_json)


def release(dataset: str, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Make people's decisions count: a release that names the reviews as they are now."""
    from flows.own_server import ensure_server
    from flows.progress import spinner
    from flows.release import release_dataset
    from storage.layout import DatasetLayout
    from storage.objects import open_store
    from storage.releases import open_release

    open_release(open_store(root), DatasetLayout(dataset))  # none: said before a server is started
    ensure_server()
    with spinner(f"release {dataset}"):
        released = release_dataset(dataset, root)
    show(asdict(released), f"{released.release_id}: {released.num_accepted} pairs", as_json)


def export(
    dataset: str,
    target: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)],
    root: Root = DEFAULT_ROOT,
    export_format: Annotated[
        Literal["parquet", "hf", "webdataset", "folder"],
        typer.Option("--format", help="What it holds."),
    ] = "parquet",
    release: Annotated[int | None, typer.Option(help="By default the newest.")] = None,
    slice_name: Annotated[str | None, typer.Option("--slice", help="A saved slice.")] = None,
    reviews: Annotated[
        str,
        typer.Option(
            help="What people's decisions leave: all, not-rejected, kept, or a rule as a plan has "
            "it: '{take: kept, min_reviewers: 2}'."
        ),
    ] = "all",
    as_json: AsJson = False,
) -> None:
    """Write a release's pairs into a new folder, for other software."""
    from flows.export import ExportPlan, export_dataset, export_text, parse_reviews
    from flows.own_server import ensure_server
    from flows.plan_files import parse_plan
    from flows.progress import spinner
    from storage.choice import release_of
    from storage.exports import require_new
    from storage.layout import DatasetLayout
    from storage.objects import open_store

    settings = {
        "dataset": dataset,
        "target": str(target.resolve()),
        "format": export_format,
        "release": release,
        "slice": slice_name,
        "reviews": parse_reviews(reviews),
    }
    plan = parse_plan(settings, ExportPlan, source="export")
    require_new(target)  # this and a missing release end here, before a server is started
    release_of(open_store(root), DatasetLayout(dataset), plan.release, plan.slice)
    ensure_server()
    with spinner(f"export {dataset}"):
        exported = export_dataset(plan, root)
    show(asdict(exported), export_text(exported, plan.target), as_json)


def make_again(
    dataset: str, sample_id: str, root: Root = DEFAULT_ROOT, as_json: AsJson = False
) -> None:
    """Make one sample again; says identical, near or different."""
    from flows.work import open_work
    from models.painters.painting import PaintStationConfig
    from tasks.make_again import Likeness
    from tasks.make_again import make_again as made_again

    work = open_work(root, dataset)
    work.require_engines()
    paint_station = PaintStationConfig(work.plan.painter, ())
    again = made_again(work.dataset, sample_id, work.write_station(), paint_station)
    words = f"report {again.report}, image {again.image}"
    if again.image is not Likeness.IDENTICAL:
        words += f" ({again.grey_levels} grey levels, {again.signature_bits} bits apart)"
    show(asdict(again), f"{sample_id}: {words}", as_json)


def _report_dataset(root: str, name: str, as_json: bool) -> None:
    """Show what was made; a dataset short of its target is no success."""
    from flows.status import dataset_status
    from flows.summary import shortfall, status_text
    from flows.work import open_work

    found = dataset_status(open_work(root, name))
    show(found.as_dict(), status_text(found), as_json)
    if short := shortfall(found):
        complain(short)
        raise typer.Exit(1)
