"""Figures that are no AUROC: means, paired differences, and what is said of them."""

import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.downstream.metrics import drawn_figure, resample_weights, resampled_means
from models.studies.figure_means import figure_differences, figure_means
from models.studies.report import write_report
from models.studies.results import Cell, MeasuredFigure, StudyResults
from tests.models.studies.made_studies import study

TASK, METRIC = "segmentation/x", "100% of labels, dice"


def measured(cell: Cell, dice_N: NDArray[np.float64], num_resamples: int) -> MeasuredFigure:
    """As an evaluation measures a mean over images, two of a patient."""
    patients = [f"p{number // 2}" for number in range(len(dice_N))]
    weights_RN = resample_weights(patients, num_resamples, seed=0)
    draws_R = resampled_means(dice_N[:, None], weights_RN)[:, 0]
    figure = drawn_figure(float(dice_N.mean()), draws_R)
    return MeasuredFigure(cell, TASK, METRIC, figure.value, draws_R=figure.draws_R)


def made(
    arms: dict[str, float],
    seeds: tuple[int, ...],
    luck: float,
    trial: int = 0,
    num_resamples: int = 400,
) -> StudyResults:
    """Dice of 60 images that are hard or easy for all arms alike."""
    random = np.random.default_rng(trial)
    images_N = np.repeat(random.normal(0, 0.2, 30), 2)
    figures = [
        measured(
            Cell(arm, "convirt", seed),
            mean + images_N + random.normal(0, 0.05, 60) + luck * random.normal(),
            num_resamples,
        )
        for seed in seeds
        for arm, mean in arms.items()
    ]
    return StudyResults("made", tuple(arms), ("convirt",), seeds, figures=tuple(figures))


def test_difference_is_paired_image_by_image_and_seed_by_seed() -> None:
    results = made({"real": 0.5, "synthetic": 0.56}, (0, 1, 2), luck=0.0)
    (found,) = figure_differences(results)
    values = {one.cell: one.value for one in results.figures}
    expected = [
        values[Cell("synthetic", "convirt", seed)] - values[Cell("real", "convirt", seed)]
        for seed in results.seeds
    ]
    assert found.value == pytest.approx(np.mean(expected))
    assert found.interval and 0 < found.interval.low < 0.06 < found.interval.high < 0.12
    for alone in figure_means(results):
        assert alone.interval
        width = alone.interval.high - alone.interval.low
        assert width > 2 * (found.interval.high - found.interval.low), "images are hard for all"


def test_interval_of_no_difference_holds_it_as_often_as_it_says() -> None:
    covered, trials = 0, 200
    for trial in range(trials):
        results = made({"real": 0.5, "synthetic": 0.5}, (0, 1, 2), luck=0.02, trial=trial)
        (found,) = figure_differences(results)
        assert found.interval
        covered += found.interval.low <= 0 <= found.interval.high
    assert 0.91 <= covered / trials <= 0.99


def test_seeds_are_those_of_both_sides_and_figures_without_draws_have_no_interval() -> None:
    results = made({"real": 0.5, "synthetic": 0.6}, (0, 1), luck=0.01)
    first, *others = results.figures
    undefined = replace(first, value=None, draws_R=None, reason="no mask")
    (found,) = figure_differences(replace(results, figures=(undefined, *others)))
    assert found.seeds == (1,)
    old = tuple(replace(one, draws_R=None) for one in results.figures)
    (without,) = figure_differences(replace(results, figures=old))
    assert (without.interval, without.seeds) == (None, (0, 1))


def test_report_states_differences_of_figures_and_judges_nothing_by_them() -> None:
    drawn = made({"real": 0.5, "synthetic": 0.9}, (0, 1, 2), luck=0.01)
    results = replace(study({"real": 1.0, "synthetic": 1.0}), figures=drawn.figures)
    files = write_report(results)
    said = files["report.md"].decode()
    assert "| figure | algorithm | synthetic less real |" in said
    assert re.search(rf"{TASK}: {METRIC} \| convirt \| \+0\.[34]\d\d \(\+0\.[34]", said)
    assert "nothing is judged by them" in said
    assert files["figure_differences.csv"].count(b"\n") == 2
    assert files["verdict.txt"] == b"synthetic: No difference shown in 1 of 1 comparison.\n"
