"""What a cell of a study found, gathered from its run once that is trained and measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.downstream.metrics import metric_name, share_name
from models.studies.results import Cell, LossCurve, MeasuredFigure
from models.vlp.training_log import LOG_FILE, StepLog, read_log
from storage.folders import local_file
from storage.layout import model_folder
from storage.objects import open_store
from tasks.figure_draws import draws_key
from tasks.image_scores import scores_key
from tasks.training import read_metrics

_NO_FIGURES = ("per_finding", "settings", "chosen")  # of what a task found
CURVE_POINTS = 300  # a curve is drawn a few hundred pixels wide


@dataclass(frozen=True, slots=True)
class CellFound:
    """What a finished cell found, the scores of single images apart.

    Attributes:
        run: Of its model.
        num_steps: Optimiser steps.
        training_seconds: All sittings together.
        evaluation_seconds: Of the attempt that finished the cell.
        scored_tasks: Kind and name of each task that scores images.
        drawn_tasks: The same of each whose figures have resamples.
        figures: Of the tasks that score no images.
        curve: Of the training.
    """

    cell: Cell
    run: str
    num_steps: int
    training_seconds: float
    evaluation_seconds: float
    scored_tasks: tuple[tuple[str, str], ...]
    drawn_tasks: tuple[tuple[str, str], ...]
    figures: tuple[MeasuredFigure, ...]
    curve: LossCurve


def gather_cell(
    root: str,
    cell: Cell,
    run: str,
    measured: Mapping[str, Mapping[str, Any]],
    evaluation_seconds: float,
    left_out: tuple[MeasuredFigure, ...],
) -> CellFound:
    """All that a cell's run left under the root.

    Args:
        root: Folder or s3://bucket/prefix.
        cell: Whose.
        run: Its model's.
        measured: What `evaluate` returned: by kind and name.
        evaluation_seconds: That it took.
        left_out: Of tasks that its model could not be measured by.
    """
    store = open_store(root)
    training = read_metrics(store, run)["training"]
    tasks = [(kind, name) for kind, of_kind in measured.items() for name in of_kind]
    scored = [one for one in tasks if store.exists(scores_key(run, *one))]
    with local_file(store, f"{model_folder(run)}/{LOG_FILE}") as log:
        curve = loss_curve(cell, read_log(log))
    return CellFound(
        cell=cell,
        run=run,
        num_steps=training["steps"],
        training_seconds=training["seconds"],
        evaluation_seconds=evaluation_seconds,
        scored_tasks=tuple(scored),
        drawn_tasks=tuple(one for one in tasks if store.exists(draws_key(run, *one))),
        figures=(
            *(
                figure
                for kind, name in tasks
                if (kind, name) not in scored
                for figure in figures_of(cell, f"{kind}/{name}", measured[kind][name])
            ),
            *left_out,
        ),
        curve=curve,
    )


def loss_curve(cell: Cell, log: list[StepLog]) -> LossCurve:
    """Mean loss of each of at most `CURVE_POINTS` spans of steps, at the last step of each."""
    spans = np.array_split(np.arange(len(log)), max(1, min(CURVE_POINTS, len(log))))
    spans = [span for span in spans if len(span)]
    return LossCurve(
        cell,
        steps=tuple(log[span[-1]].step for span in spans),
        losses=tuple(float(np.mean([log[place].loss for place in span])) for span in spans),
    )


def figures_of(cell: Cell, task: str, result: Mapping[str, Any]) -> Iterator[MeasuredFigure]:
    """Every figure in a task's result as JSON: a mapping with a value. Single findings are left.

    Args:
        cell: Whose.
        task: Of the figures.
        result: As it stands in `metrics.json`.
    """
    for path, found in _valued(result, ()):
        interval = found.get("ci95")
        yield MeasuredFigure(
            cell,
            task,
            metric=metric_name(*path),
            value=found["value"],
            interval=(interval[0], interval[1]) if interval else None,
            reason=found.get("reason"),
        )


def _valued(
    found: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if "value" in found:
        yield path, found
        return
    for name, inner in found.items():
        if name in _NO_FIGURES:
            continue
        if isinstance(inner, Mapping):
            yield from _valued(inner, path if name == "macro" else (*path, name))
        elif name == "shares":
            for one in inner:
                yield from _valued(one, (*path, share_name(one["share"])))
