"""A cell of a study: what is gathered of its run, and what is kept of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from models.downstream.dense_configs import DetectionConfig
from models.downstream.dense_results import DenseResult, DenseShare, FindingFigures
from models.downstream.metrics import Figure, Interval, drawn_figure
from models.downstream.scored_images import scored_images
from models.studies.results import EVERY_METRIC, Cell, MeasuredFigure
from models.vlp.training_log import StepLog
from models.vocabulary.findings import Finding
from storage.errors import DamagedObject
from storage.layout import StudyLayout
from storage.objects import LocalStore, ObjectStore
from tasks.cell_files import (
    finished_cells,
    last_failure,
    note_failure,
    num_failures,
    put_cell,
    read_cell,
    read_figures,
    read_scored,
)
from tasks.figure_draws import put_draws
from tasks.image_scores import put_scores
from tasks.study_cells import CURVE_POINTS, CellFound, figures_of, gather_cell, loss_curve
from tasks.training import update_metrics
from tests.models.downstream.label_sets import labelled

CELL, LAYOUT = Cell("real", "convirt", 3), StudyLayout("a-study")
LEFT_OUT = (MeasuredFigure(CELL, "detection/x", EVERY_METRIC, None, reason="no stages"),)
GROUNDING = {
    "num_images": 4,
    "macro": {"dice": {"value": 0.5, "ci95": [0.4, 0.6]}},
    "per_finding": {"Mass": {"dice": {"value": 0.1, "ci95": None}}},
    "settings": {"seed": 0},
}


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """A root with a trained and measured run."""
    store = LocalStore(str(tmp_path))
    update_metrics(store, "run-r1", {"training": {"steps": 2, "seconds": 1.5}})
    log = [StepLog(step, 2, 3.0 - step, 0.1, 0.1) for step in (1, 2)]
    lines = "".join(json.dumps(_fields_of(one)) + "\n" for one in log)
    store.put("models/run-r1/log.jsonl", lines.encode())
    images = labelled("nih", 6, 1)
    scores_NF = np.random.default_rng(0).random(images.labels_NF.shape)
    scored = [scored_images(images, scores_NF * sign, f"{sign}") for sign in (1, -1)]
    put_scores(store, "run-r1", "linear_probe", "nih", scored)
    dice = drawn_figure(0.5, np.array([0.4, 0.6]))
    put_draws(store, "run-r1", "grounding", "phantoms", {"dice": dice})
    return store


def _fields_of(entry: StepLog) -> dict[str, object]:
    return {name: getattr(entry, name) for name in StepLog.__dataclass_fields__}


def _found(store: ObjectStore) -> CellFound:
    measured = {"linear_probe": {"nih": {}}, "grounding": {"phantoms": GROUNDING}}
    return gather_cell(store.root, CELL, "run-r1", measured, 2.5, LEFT_OUT)


def test_cell_is_read_as_it_was_put_and_put_once(store: ObjectStore) -> None:
    found = _found(store)
    put_cell(store, LAYOUT, found)
    assert read_cell(store, LAYOUT, CELL) == found
    assert found.scored_tasks == (("linear_probe", "nih"),)
    assert found.curve.losses == (2.0, 1.0)
    assert found.figures[-1:] == LEFT_OUT
    drawn, left_out = read_figures(store, LAYOUT, CELL)
    assert (drawn, (left_out,)) == (found.figures[0], LEFT_OUT)
    assert drawn.draws_R is not None and drawn.draws_R.tolist() == [0.4, 0.6]
    assert left_out.draws_R is None
    assert finished_cells(store, LAYOUT) == {CELL.name}
    first = store.get(LAYOUT.cell(CELL.name))
    put_cell(store, LAYOUT, found)
    assert store.get(LAYOUT.cell(CELL.name)) == first


def test_scores_of_a_cell_outlive_another_evaluation_of_its_run(store: ObjectStore) -> None:
    put_cell(store, LAYOUT, _found(store))
    before = list(read_scored(store, LAYOUT, CELL))
    assert [one.task for one in before] == ["linear_probe/nih, 1", "linear_probe/nih, -1"]
    images = labelled("nih", 6, 1)
    assert before[0].patients == images.groups
    assert before[0].findings == tuple(finding.value for finding in images.findings)
    np.testing.assert_array_equal(before[0].labels_NF, images.labels_NF)
    other = scored_images(images, np.zeros(images.labels_NF.shape))
    put_scores(store, "run-r1", "linear_probe", "nih", [other])
    after = list(read_scored(store, LAYOUT, CELL))
    for one, again in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.scores_NF, again.scores_NF)


@pytest.mark.parametrize("read", [read_scored, read_figures])
def test_scores_and_draws_of_a_cell_that_were_changed_are_refused(
    store: ObjectStore, read: Callable[[ObjectStore, StudyLayout, Cell], Iterator[object]]
) -> None:
    put_cell(store, LAYOUT, _found(store))
    keys = [one.key for one in store.list(f"{LAYOUT.folder}/scores/")]
    assert len(keys) == 2
    for key in keys:
        store.put(key, b"other")
    with pytest.raises(DamagedObject, match="expected the bytes that real-convirt-s3 put"):
        list(read(store, LAYOUT, CELL))


def test_failures_of_a_cell_are_all_kept_and_the_last_is_said(store: ObjectStore) -> None:
    assert "ended without a word" in last_failure(store, LAYOUT, CELL).reason
    note_failure(store, LAYOUT, CELL, "the loss must stay finite")
    note_failure(store, LAYOUT, CELL, "no space\nleft")
    assert num_failures(store, LAYOUT, CELL) == 2
    assert last_failure(store, LAYOUT, CELL).reason == "no space left"
    assert num_failures(store, LAYOUT, Cell("real", "convirt", 4)) == 0


def test_figures_of_a_task_are_its_means_at_every_share() -> None:
    assert list(figures_of(CELL, "grounding/phantoms", GROUNDING)) == [
        MeasuredFigure(CELL, "grounding/phantoms", "dice", 0.5, (0.4, 0.6))
    ]
    at_shares = {
        "shares": [
            {"share": 0.1, "macro": {"dice": {"value": 0.3, "ci95": [0.2, 0.4]}}},
            {"share": 1.0, "macro": {}},
        ],
        "image_to_text": {"recall@5": {"value": 1.0, "ci95": None, "chance": 0.1}},
    }
    found = [(one.metric, one.value) for one in figures_of(CELL, "segmentation/x", at_shares)]
    assert found == [("10% of labels, dice", 0.3), ("image to text, recall@5", 1.0)]


def test_figures_of_a_dense_task_as_it_stands_in_the_metrics_are_found() -> None:
    """Its settings name shares too, and what was chosen has names and values."""
    config = DetectionConfig(findings=(Finding.MASS,), shares=(0.1, 1.0))
    macro = {"ap_40_75": Figure(0.25, Interval(0.2, 0.3, 100))}
    chosen = {"pretrained": {"step": 20.0}, "untrained": {"step": 40.0}}
    of_mass = FindingFigures(7, macro)
    shares = tuple(
        DenseShare(share, 9, 9, macro, {Finding.MASS: of_mass}, chosen) for share in config.shares
    )
    result = DenseResult(20, 20, shares, config).as_dict()
    assert list(figures_of(CELL, "detection/x", result)) == [
        MeasuredFigure(CELL, "detection/x", f"{share} of labels, ap 40 75", 0.25, (0.2, 0.3))
        for share in ("10%", "100%")
    ]


def test_loss_curve_of_a_long_training_is_drawn_in_few_points() -> None:
    log = [StepLog(step, 9000, float(step), 0.1, 1.0) for step in range(1, 9001)]
    curve = loss_curve(CELL, log)
    assert len(curve.steps) == CURVE_POINTS
    assert curve.steps[-1] == 9000
    assert curve.losses[0] == pytest.approx(np.mean(range(1, curve.steps[0] + 1)))
    assert loss_curve(CELL, []).steps == ()
