"""Commands on real data, and on the machine that holds it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.command_options import DEFAULT_ROOT, AnyRoot, AsJson, PlanFile, Root, show
from storage.readers.kinds import CorpusKind  # one of the few light modules


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
    from flows.own_server import ensure_server
    from flows.progress import spinner

    engine = parse_tagger(tagger)
    engine.revision()  # so does a tagger whose model is missing
    ensure_server()
    with spinner(f"ingest {name}"):
        report = ingest_corpus(kind, str(source), name, root, restricted, columns, licence, engine)
    figures = corpus_figures(root, name)
    found = asdict(report) | {"entities": figures and figures.as_dict()}
    show(found, report_text(name, report, figures), as_json)


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
    from flows.own_server import ensure_server
    from flows.plan_files import load_plan
    from flows.plans import DatasetPlan, ImageRules
    from flows.progress import spinner
    from storage.corpora import read_corpus
    from storage.objects import open_store

    rules = load_plan(plan_file, DatasetPlan).image_rules if plan_file else ImageRules()
    read_corpus(open_store(root), corpus)  # no corpus, no bank: said before a server is started
    for gate in rules.gates:
        gate.revision()
    ensure_server()
    with spinner(f"audit {corpus}"):
        summary = audit_corpus(corpus, rules.gates, root)
    show(summary, audit_text(summary), as_json)


def calibrate(plan_file: PlanFile, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Calibrate an image gate on real images; measure it on other patients."""
    from flows.calibrate import CalibratePlan, calibrate_gate, calibration_text
    from flows.own_server import ensure_server
    from flows.plan_files import load_plan
    from flows.progress import spinner

    plan = load_plan(plan_file, CalibratePlan)
    plan.encoder.revision()  # missing weights end here, before a server is started
    ensure_server()
    with spinner(f"calibrate {plan.name}"):
        metrics = calibrate_gate(plan, root)
    show(metrics, calibration_text(metrics), as_json)


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
    show({"checks": [asdict(check) for check in checks]}, "\n".join(lines), as_json)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


def _look_for_datasets(folder: Path, as_json: bool) -> None:
    """Show which public datasets are there; a folder in another layout is no success."""
    from flows.doctor import datasets_text
    from storage.dataset_layouts import Presence, find_datasets

    found = find_datasets(folder)
    show({"datasets": [asdict(one) for one in found]}, datasets_text(found), as_json)
    if any(one.presence is Presence.OTHER_LAYOUT for one in found):
        raise typer.Exit(1)
