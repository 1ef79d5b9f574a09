"""The whole factory, small, on this machine: what `make demo` runs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from flows.evaluation import evaluate
from flows.evaluation_summary import evaluation_text
from flows.generate import generate_dataset
from flows.plan_files import load_plan
from flows.plans import DatasetPlan
from flows.pretrain import pretrain
from flows.progress import dataset_bars, spinner, training_bar
from flows.status import dataset_status
from flows.summary import status_text, training_text
from flows.training_plans import EvaluatePlan, PretrainPlan
from flows.work import Work, open_work
from storage.contact_sheet import SheetPair, contact_sheet
from storage.layout import Table
from storage.records import NOT_FOR_CLINICAL_USE, Entity
from storage.releases import Release, open_table
from storage.schemas import decode_rows

PLANS = Path(__file__).resolve().parent.parent / "deployments" / "plans"
NUM_SHEET_PAIRS, NUM_PAINTED_PAIRS = 16, 8


def run_demo(root: str) -> None:
    """Plan, write, paint, publish, pretrain, evaluate; then say what came out.

    Args:
        root: Folder to fill.
    """
    took: dict[str, float] = {}
    plan = load_plan(PLANS / "demo.yaml", DatasetPlan)
    with _timed("generate", took), dataset_bars(lambda: open_work(root, plan.name)):
        release = generate_dataset(plan, root)
    small = load_plan(PLANS / "demo-painter.yaml", DatasetPlan)
    with _timed("small painter", took), spinner("small painter"):
        painted = generate_dataset(small, root)
    training = load_plan(PLANS / "demo-pretrain.yaml", PretrainPlan)
    with _timed("pretrain", took), training_bar(root, training):
        run = pretrain(training, root)
    evaluation = load_plan(PLANS / "demo-evaluate.yaml", EvaluatePlan)
    evaluation = evaluation.model_copy(update={"run": run.run})
    with _timed("evaluate", took), spinner("evaluate"):
        results = evaluate(evaluation, root)
    work = open_work(root, plan.name)
    pairs = sheet_pairs(work, release, NUM_SHEET_PAIRS)
    pairs += sheet_pairs(open_work(root, small.name), painted, NUM_PAINTED_PAIRS)
    _summarise(work, release, pairs, run.metrics, results, took)


@contextmanager
def _timed(step: str, took: dict[str, float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took[step] = time.perf_counter() - began


def _summarise(
    work: Work,
    release: Release,
    pairs: Sequence[SheetPair],
    metrics: dict[str, Any],
    results: dict[str, Any],
    took: dict[str, float],
) -> None:
    sheet = f"{work.dataset.layout.folder}/contact_sheet.png"
    title = f"{release.release_id}, and below it pairs of a small painter trained on real images"
    work.dataset.store.put(sheet, contact_sheet(pairs, title))
    steps = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in took.items())
    typer.echo(
        "\n".join(
            [
                status_text(dataset_status(work)),
                training_text(metrics),
                evaluation_text(results),
                f"time: {steps}",
                f"pairs: {work.dataset.store.uri(work.dataset.layout.table(Table.PAIRS))} "
                f"(version {release.versions[Table.PAIRS]})",
                f"contact sheet: {work.dataset.store.uri(sheet)}",
                NOT_FOR_CLINICAL_USE,
            ]
        )
    )


def sheet_pairs(work: Work, release: Release, num_pairs: int) -> list[SheetPair]:
    """Pairs spread evenly over a release."""
    pairs = open_table(work.dataset.store, release, Table.PAIRS)
    num_rows = pairs.count_rows()
    num_pairs = min(num_pairs, num_rows)
    indices = [position * num_rows // num_pairs for position in range(num_pairs)]
    columns = ["index", "view", "sex", "age_years", "findings", "impression", "entities_requested"]
    rows = pairs.take(indices, columns=columns).to_pylist()
    images = [png for _, png in pairs.read_blobs("image", indices=indices, preserve_order=True)]
    painter = work.plan.painter.kind
    return [_sheet_pair(row, png, painter) for row, png in zip(rows, images, strict=True)]


def _sheet_pair(row: dict[str, Any], png: bytes | None, painter: str) -> SheetPair:
    assert png, f"pair {row['index']} was published without an image"
    patient = " ".join(str(row[name]) for name in ("view", "sex", "age_years") if row[name])
    return SheetPair(
        caption=f"#{row['index']}  {patient}  {painter}",
        png=png,
        findings=row["findings"],
        impression=row["impression"],
        entities=tuple(decode_rows(row["entities_requested"], Entity)),
    )
