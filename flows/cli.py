"""The command `cxr-factory`. Errors are one clear line; exit status 0 only for success."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.exceptions import TyperException

from storage.readers.kinds import CorpusKind  # one of the few light modules

app = typer.Typer(
    name="cxr-factory",
    help="Make, release and judge synthetic chest X-ray image-report pairs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _reachable(root: str) -> str:
    """A root that cannot be read is said at once, before a server is started for the work."""
    if "://" in root:
        from storage.objects import require_reachable

        require_reachable(root)
    return root


ROOT_HELP = "Folder or s3://bucket/prefix that holds everything."
Root = Annotated[str, typer.Option(help=ROOT_HELP, callback=_reachable)]
AnyRoot = Annotated[str, typer.Option(help=ROOT_HELP)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Dispatch = Literal["inline", "work-pool"]
PlanFile = Annotated[Path, typer.Argument(help="A YAML plan.", show_default=False)]

DEFAULT_ROOT = "./factory"

# For the server that a command starts for itself. By default Prefect commits every state of every
# task run on its own, 25 ms of CPU each, and SQLite answers "busy, again in 2 s" in between.
_RECORDER = "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER"
_PERSISTER = "PREFECT_SERVER_SERVICES_EVENT_PERSISTER"
PREFECT_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 are few on a busy machine
    f"{_RECORDER}_READ_BATCH_SIZE": "100",
    f"{_RECORDER}_BATCH_SIZE": "100",
    f"{_RECORDER}_FLUSH_INTERVAL": "1",
    f"{_PERSISTER}_READ_BATCH_SIZE": "100",
    f"{_PERSISTER}_BATCH_SIZE": "100",
    f"{_PERSISTER}_FLUSH_INTERVAL": "1",
}


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option(help="Show tracebacks and Prefect's own log.")] = False,
) -> None:
    os.environ["CXR_FACTORY_DEBUG"] = "1" if debug else ""
    if not debug:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)


@app.command()
def demo(root: Root = DEFAULT_ROOT) -> None:
    """The whole factory, small, on this machine, without downloads."""
    from flows.demo import run_demo

    run_demo(root)


@app.command()
def ingest(
    kind: Annotated[CorpusKind, typer.Argument(help="Layout of the source: docs/datasets.md.")],
    source: Annotated[Path, typer.Argument(help="File or folder as it was downloaded.")],
    name: Annotated[str, typer.Option(help="Of the corpus.")],
    root: Root = DEFAULT_ROOT,
    restricted: Annotated[
        bool | None,
        typer.Option(
            "--restricted/--no-restricted",
            help="Credentialed data. By default what needs an agreement is.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Of a folder's CSV: ROLE=NAME, as image=path or labels=finding."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of a folder's images and texts.")] = None,
    tagger: Annotated[
        str,
        typer.Option(
            help="Finds the entities of the reports: a kind, or its settings as a plan has them: "
            "'{kind: huggingface, model: FOLDER}'."
        ),
    ] = "lexicon",
    as_json: AsJson = False,
) -> None:
    """Bring real reports or images in, with the entities of the reports."""
    from storage.ingestion import corpus_reader
    from storage.readers.folder_columns import parse_columns

    columns = parse_columns(column) if column else None
    reader = corpus_reader(kind, source, columns=columns, licence=licence)
    reader.source_hash()  # a source that is not what it should be ends here, without a server

    from flows.ingest import corpus_figures, ingest_corpus, parse_tagger, report_text
    from flows.progress import spinner

    engine = parse_tagger(tagger)
    engine.revision()  # so does a tagger whose model is missing
    with spinner(f"ingest {name}"):
        report = ingest_corpus(kind, str(source), name, root, restricted, columns, licence, engine)
    figures = corpus_figures(root, name)
    found = asdict(report) | {"entities": figures and figures.as_dict()}
    _show(found, report_text(name, report, figures), as_json)


@app.command()
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


@app.command()
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


@app.command()
def status(dataset: str, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """What a dataset has and lacks."""
    from flows.status import dataset_status
    from flows.summary import status_text
    from flows.work import open_work

    found = dataset_status(open_work(root, dataset))
    _show(found.as_dict(), status_text(found), as_json)


@app.command()
def release(dataset: str, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Make people's decisions count: a release that names the reviews as they are now."""
    from flows.progress import spinner
    from flows.release import release_dataset
    from storage.layout import DatasetLayout
    from storage.objects import open_store
    from storage.releases import open_release

    open_release(open_store(root), DatasetLayout(dataset))  # none: said before a server is started
    with spinner(f"release {dataset}"):
        released = release_dataset(dataset, root)
    _show(asdict(released), f"{released.release_id}: {released.num_accepted} pairs", as_json)


@app.command()
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
    with spinner(f"export {dataset}"):
        exported = export_dataset(plan, root)
    _show(asdict(exported), export_text(exported, plan.target), as_json)


@app.command("make-again")
def make_again_command(
    dataset: str, sample_id: str, root: Root = DEFAULT_ROOT, as_json: AsJson = False
) -> None:
    """Make one sample again; says identical, near or different."""
    from flows.work import open_work
    from models.painters.painting import PaintStationConfig
    from tasks.make_again import Likeness, make_again

    work = open_work(root, dataset)
    work.require_engines()
    paint_station = PaintStationConfig(work.plan.painter, ())
    again = make_again(work.dataset, sample_id, work.write_station(), paint_station)
    words = f"report {again.report}, image {again.image}"
    if again.image is not Likeness.IDENTICAL:
        words += f" ({again.grey_levels} grey levels, {again.signature_bits} bits apart)"
    _show(asdict(again), f"{sample_id}: {words}", as_json)


@app.command()
def pretrain(plan_file: PlanFile, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Train a vision-language model on a release."""
    from flows.plan_files import load_plan
    from flows.pretrain import pretrain as pretrain_flow
    from flows.progress import training_bar
    from flows.summary import training_text
    from flows.training_plans import PretrainPlan

    plan = load_plan(plan_file, PretrainPlan)
    with training_bar(root, plan):
        run = pretrain_flow(plan, root)
    _show(run.metrics, training_text(run.metrics), as_json)


@app.command()
def finetune(plan_file: PlanFile, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Train a text-to-image painter on a corpus's training patients, or train it on."""
    from flows.finetune import FinetunePlan, finetune_painter, painter_text
    from flows.plan_files import load_plan
    from flows.progress import finetuning_bars

    plan = load_plan(plan_file, FinetunePlan)
    with finetuning_bars(root, plan.name):
        metrics = finetune_painter(plan, root)
    _show(metrics, painter_text(metrics), as_json)


@app.command()
def evaluate(plan_file: PlanFile, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Measure a trained model, with intervals: zero-shot, and what else the plan names."""
    from flows.evaluation import evaluate as evaluate_flow
    from flows.evaluation_summary import evaluation_text
    from flows.plan_files import load_plan
    from flows.progress import spinner
    from flows.training_plans import EvaluatePlan

    plan = load_plan(plan_file, EvaluatePlan)
    with spinner(f"evaluate {plan.run}"):
        results = evaluate_flow(plan, root)
    _show({"run": plan.run, **results}, evaluation_text(results), as_json)


@app.command()
def audit(
    corpus: Annotated[str, typer.Argument(help="An ingested corpus of images.")],
    root: Root = DEFAULT_ROOT,
    plan_file: Annotated[
        Path | None,
        typer.Option("--plan", help="A dataset plan, whose image gates look; else the technical."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a real corpus's images to the gates that made ones must pass."""
    from flows.audit import audit_corpus, audit_text
    from flows.plan_files import load_plan
    from flows.plans import DatasetPlan, ImageRules
    from flows.progress import spinner
    from storage.corpora import read_corpus
    from storage.objects import open_store

    rules = load_plan(plan_file, DatasetPlan).image_rules if plan_file else ImageRules()
    read_corpus(open_store(root), corpus)  # no corpus, no bank: said before a server is started
    for gate in rules.gates:
        gate.revision()
    with spinner(f"audit {corpus}"):
        summary = audit_corpus(corpus, rules.gates, root)
    _show(summary, audit_text(summary), as_json)


@app.command()
def calibrate(plan_file: PlanFile, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Calibrate an image gate on real images; measure it on other patients."""
    from flows.calibrate import CalibratePlan, calibrate_gate, calibration_text
    from flows.plan_files import load_plan
    from flows.progress import spinner

    plan = load_plan(plan_file, CalibratePlan)
    plan.encoder.revision()  # missing weights end here, before a server is started
    with spinner(f"calibrate {plan.name}"):
        metrics = calibrate_gate(plan, root)
    _show(metrics, calibration_text(metrics), as_json)


@app.command()
def doctor(
    root: AnyRoot = DEFAULT_ROOT,
    datasets: Annotated[
        bool, typer.Option("--datasets", help="Say instead which public datasets are here.")
    ] = False,
    folder: Annotated[
        Path, typer.Option(help="That holds the datasets, one folder each.")
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Check this machine, the installed versions and the store under a root."""
    if datasets:
        _look_for_datasets(folder, as_json)
        return
    from flows.doctor import examine

    checks = examine(root)
    lines = [
        f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.found}" for check in checks
    ]
    _show({"checks": [asdict(check) for check in checks]}, "\n".join(lines), as_json)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


for _command in entry_points(group="cxr_factory.commands"):  # of rooms that this may not import
    app.command(_command.name)(_command.load())


def _look_for_datasets(folder: Path, as_json: bool) -> None:
    """Show which public datasets are there; a folder in another layout is no success."""
    from flows.doctor import datasets_text
    from storage.dataset_layouts import Presence, find_datasets

    found = find_datasets(folder)
    _show({"datasets": [asdict(one) for one in found]}, datasets_text(found), as_json)
    if any(one.presence is Presence.OTHER_LAYOUT for one in found):
        raise typer.Exit(1)


def _report_dataset(root: str, name: str, as_json: bool) -> None:
    """Show what was made; a dataset short of its target is no success."""
    from flows.status import dataset_status
    from flows.summary import shortfall, status_text
    from flows.work import open_work

    found = dataset_status(open_work(root, name))
    _show(found.as_dict(), status_text(found), as_json)
    if short := shortfall(found):
        _complain(short)
        raise typer.Exit(1)


def _show(value: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(value, default=str) if as_json else text)


def _complain(line: str) -> None:
    typer.echo(f"cxr-factory: {line}", err=True)


def _run(command: Callable[[], Any]) -> int:
    """Run the command; every error is one line on standard error and a status that is not 0."""
    try:
        result = command()
    except TyperException as error:
        _complain(f"{error.format_message().rstrip('.')}; see cxr-factory --help")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted; run the same command again to go on")
        return 130
    except Exception as error:
        if os.environ.get("CXR_FACTORY_DEBUG"):
            raise
        _complain(" ".join(str(error).split()) or type(error).__name__)
        return 1
    return result if isinstance(result, int) else 0


def main() -> None:
    """Entry point of the command."""
    sys.exit(_run(lambda: app(standalone_mode=False)))
