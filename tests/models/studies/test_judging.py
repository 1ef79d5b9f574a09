"""Figures that are no AUROC as comparisons of the study: their p-values, one correction for all."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from models.studies.analysis import analyse
from models.studies.judging import JudgedDifference
from models.studies.report import write_report
from models.studies.results import (
    EVERY_METRIC,
    Cell,
    JudgedFigure,
    MeasuredFigure,
    ScoredSet,
    StudyResults,
)
from models.studies.significance import Verdict
from tests.models.studies.made_studies import cells, scored_sets, study
from tests.models.studies.test_figure_means import METRIC, TASK, made

DICE = JudgedFigure(TASK, METRIC)
ARMS = ("real", "synthetic")
NUM_DRAWS = 1999  # with the measured study 2,000: shares of them are p-values without many digits


def counted(num_far: Sequence[int], num_draws: int = NUM_DRAWS) -> StudyResults:
    """A study of one seed whose k-th figure has so many draws on the far side of no difference."""
    figures: list[MeasuredFigure] = []
    for k, far in enumerate(num_far):
        draws = np.where(np.arange(num_draws) < far, -0.1, 0.1)
        for arm, value, draws_R in (("synthetic", 0.6, draws), ("real", 0.5, 0 * draws)):
            cell = Cell(arm, "convirt", 0)
            figures.append(MeasuredFigure(cell, TASK, f"dice {k}", value, draws_R=draws_R))
    judged = tuple(JudgedFigure(TASK, f"dice {k}") for k in range(len(num_far)))
    return StudyResults("counted", ARMS, ("convirt",), (0,), figures=tuple(figures), judged=judged)


def the_one(results: StudyResults) -> JudgedDifference:
    (found,) = analyse(results).judged
    return found


def rows(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[name].decode())))


def test_identical_arms_differ_by_nothing_and_nothing_is_shown() -> None:
    alone = made({"real": 0.5}, (0, 1, 2), luck=0.05)
    copies = [replace(one, cell=replace(one.cell, arm="copy")) for one in alone.figures]
    figures = (*alone.figures, *copies)
    one = the_one(replace(alone, arms=("real", "copy"), figures=figures, judged=(DICE,)))
    assert one.found
    assert (one.found.value, one.found.p_value, one.found.corrected_p) == (0, 1, 1)
    assert (one.found.interval.low, one.found.interval.high) == (0, 0)
    assert one.verdict is Verdict.NOT_SHOWN


def test_judged_figures_are_corrected_as_the_worked_example_of_holm() -> None:
    """0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 no lower than the one before."""
    analysis = analyse(counted([9, 39, 29, 4]))
    found = [one.found for one in analysis.judged if one.found]
    assert [one.p_value for one in found] == pytest.approx([0.01, 0.04, 0.03, 0.005])
    assert [one.corrected_p for one in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [one.verdict for one in analysis.judged] == [
        *(Verdict.BETTER, Verdict.NOT_SHOWN, Verdict.NOT_SHOWN, Verdict.BETTER)
    ]
    assert analysis.num_comparisons == 4


def test_one_correction_is_for_auroc_and_judged_figures_together() -> None:
    """AUROC's p-value, the smallest of three, counts three times; judged ones twice and once."""
    small = study({"real": 1.0, "synthetic": 0.0}, seeds=(0,))
    figures = counted([9, 99])
    (before, *_) = analyse(small).differences
    joint = analyse(replace(small, figures=figures.figures, judged=figures.judged))
    (auroc, *_) = joint.differences
    assert before.found and auroc.found
    assert auroc.found.p_value == before.found.p_value < 0.01, "the same draws of the same patients"
    assert before.found.corrected_p == before.found.p_value
    assert auroc.found.corrected_p == pytest.approx(3 * auroc.found.p_value)
    corrected = [one.found.corrected_p for one in joint.judged if one.found]
    assert corrected == pytest.approx([2 * 0.01, 0.1])
    wide, wider = before.found.corrected_interval, auroc.found.corrected_interval
    assert wider.high - wider.low > wide.high - wide.low
    assert joint.num_comparisons == 3


def test_figures_that_are_not_named_change_nothing_of_what_is_judged() -> None:
    small = study({"real": 1.0, "synthetic": 0.5})
    drawn = made({"real": 0.5, "synthetic": 0.9}, (0, 1, 2), luck=0.01)
    without = analyse(small)
    found = analyse(replace(small, figures=drawn.figures))
    assert (found.differences, found.judged) == (without.differences, ())


def test_studies_of_arms_that_do_not_differ_seldom_say_that_one_does() -> None:
    """Two comparisons of AUROC and two of Dice in each, with luck in patients and in trainings."""
    arms, trials, stated, covered = ("real", "b", "c"), 100, 0, []
    for trial in range(trials):
        luck = np.random.default_rng(trial).normal(1.0, 0.25, 9)
        of = dict(zip(cells(dict.fromkeys(arms, 0.0), (0, 1, 2)), luck, strict=True))
        scored: list[ScoredSet] = scored_sets(
            of, findings=("edema",), num_images=80, own_noise=0.5, views=False, seed=trial
        )
        means = dict.fromkeys(arms, 0.5)
        drawn = made(means, (0, 1, 2), luck=0.03, trial=trial, num_resamples=2000)
        analysis = analyse(replace(drawn, scored=tuple(scored), judged=(DICE,)))
        assert analysis.num_comparisons == 4
        verdicts = [one.verdict for one in (*analysis.differences, *analysis.judged)]
        stated += any(one is not Verdict.NOT_SHOWN for one in verdicts)
        intervals = [one.found.interval for one in analysis.judged if one.found]
        covered += [interval.low <= 0 <= interval.high for interval in intervals]
    assert stated <= 11  # 5 are expected at most, more than 11 in 1 of 200 such tests
    assert 0.91 <= np.mean(covered) <= 0.99


def test_true_difference_is_shown_with_its_sign() -> None:
    drawn = made({"real": 0.5, "synthetic": 0.3}, (0, 1, 2), luck=0.01, num_resamples=2000)
    one = the_one(replace(drawn, judged=(DICE,)))
    assert one.found and one.found.value < 0
    assert (one.verdict, one.seeds) == (Verdict.WORSE, (0, 1, 2))


def test_equivalence_is_by_the_margin_of_the_figure_and_not_by_aurocs() -> None:
    drawn = made({"real": 0.5, "synthetic": 0.5}, (0, 1, 2), luck=0.001, num_resamples=2000)
    (without,) = analyse(replace(drawn, judged=(DICE,)), margin=0.3).judged
    assert without.verdict is Verdict.NOT_SHOWN
    of_its_own = replace(DICE, margin=0.2)
    files = write_report(replace(drawn, judged=(of_its_own,)))
    assert the_one(replace(drawn, judged=(of_its_own,))).verdict is Verdict.EQUIVALENT
    assert "Equivalent within ±0.2: " in files["report.md"].decode()


@pytest.mark.parametrize(
    ("num_draws", "verdict"), [(78, Verdict.TOO_FEW_DRAWS), (80, Verdict.BETTER)]
)
def test_draws_too_few_for_the_correction_are_no_finding(num_draws: int, verdict: Verdict) -> None:
    """Two comparisons ask for p below 0.025, which 2 / (1 + 78) is not."""
    results = counted([0, num_draws // 2], num_draws)
    first, second = analyse(results).judged
    assert first.verdict is verdict
    few = verdict is Verdict.TOO_FEW_DRAWS
    assert second.verdict is (Verdict.TOO_FEW_DRAWS if few else Verdict.NOT_SHOWN)
    wide = tuple(replace(one, margin=0.9) for one in results.judged)
    claims = [one.verdict for one in analyse(replace(results, judged=wide)).judged]
    assert claims == [Verdict.TOO_FEW_DRAWS if few else Verdict.EQUIVALENT] * 2
    files = write_report(results)
    if few:
        assert files["verdict.txt"].startswith(b"synthetic: Too few draws to tell in 2 of 2")
        words = "The smallest p-value of 78 draws is 0.025, and 0.051 once corrected for 2 planned"
        assert words in files["report.md"].decode()
        assert "could not have been shown" not in files["report.md"].decode()


def _without(results: StudyResults, *gone: Cell) -> StudyResults:
    return replace(results, figures=tuple(one for one in results.figures if one.cell not in gone))


def test_what_cannot_be_compared_has_its_reason_and_is_no_comparison() -> None:
    both = replace(made(dict.fromkeys(ARMS, 0.5), (0, 1), luck=0.01), judged=(DICE,))
    synthetic, real = (tuple(Cell(arm, "convirt", s) for s in (0, 1)) for arm in reversed(ARMS))

    def reason(results: StudyResults) -> str | None:
        analysis = analyse(results)
        assert analysis.num_comparisons == 0
        assert [one.verdict for one in analysis.judged] == [Verdict.NOT_COMPARED]
        return analysis.judged[0].reason

    assert reason(_without(both, *real)) == "nothing of real was measured"
    assert reason(_without(both, *synthetic)) == "nothing of synthetic was measured"
    assert reason(_without(both, real[0], synthetic[1])) == "they share no seed"
    unable = MeasuredFigure(synthetic[0], TASK, EVERY_METRIC, None, reason="it has no maps")
    left_out = _without(both, *synthetic)
    assert reason(replace(left_out, figures=(*left_out.figures, unable))) == "it has no maps"
    old = tuple(replace(one, draws_R=None) if one.cell == real[1] else one for one in both.figures)
    assert reason(replace(both, figures=old)) == "real-convirt-s1 kept no draws of it"
    more = tuple(
        replace(one, draws_R=np.zeros(7)) if one.cell == real[1] else one for one in both.figures
    )
    assert reason(replace(both, figures=more)) == "cells drew unequally often"
    undefined = tuple(replace(one, draws_R=np.full(9, np.nan)) for one in both.figures)
    said = reason(replace(both, figures=undefined))
    assert said == "no draw of patients gives both sides a figure"


def test_report_judges_what_the_plan_named_and_says_so() -> None:
    drawn = made({"real": 0.5, "synthetic": 0.9}, (0, 1, 2), luck=0.01, num_resamples=2000)
    other = [replace(one, metric="100% of labels, iou") for one in drawn.figures]
    lacking = JudgedFigure("grounding/x", "dice")
    results = replace(
        study({"real": 1.0, "synthetic": 1.0}),
        figures=(*drawn.figures, *other),
        judged=(DICE, lacking),
    )
    files = write_report(results)
    said = files["report.md"].decode()
    assert files["verdict.txt"].decode() == (
        "synthetic: Better in 1, no difference shown in 1 and not compared in 1 of 3 comparisons.\n"
    )
    assert f"- {TASK}: {METRIC}, convirt: Better: +0." in said
    assert "- grounding/x: dice, convirt: Not compared: nothing of synthetic was measured." in said
    assert "corrected p is for all 2 of the study (Holm), macro AUROC's and these tog" in said
    assert re.search(rf"\| synthetic \| {TASK}: {METRIC}, convirt \| .* \| better \|", said)
    assert re.search(rf"\| {TASK}: {METRIC} \| convirt \| .* \| .* · better \|", said)
    assert "nothing is judged by them" not in said
    assert "only those that the plan chose before the study are judged" in said
    assert "2 comparisons of macro AUROC and of the figures that the plan judges" in said
    judged, alone, gone = rows(files, "figure_differences.csv")
    assert (judged["metric"], judged["verdict"], judged["reason"]) == (METRIC, "better", "")
    assert float(judged["corrected_p"]) == pytest.approx(2 * float(judged["p"]))
    assert float(judged["corrected_p"]) < 0.05
    assert (alone["p"], alone["corrected_p"], alone["verdict"]) == ("", "", "")
    assert float(alone["low"]) == float(judged["low"])
    assert (gone["task"], gone["difference"], gone["verdict"]) == (
        "grounding/x",
        "",
        "not compared",
    )


def test_study_without_any_auroc_is_judged_by_its_figures() -> None:
    drawn = made({"real": 0.5, "synthetic": 0.9}, (0, 1, 2), luck=0.01, num_resamples=2000)
    files = write_report(replace(drawn, judged=(DICE,)))
    assert files["verdict.txt"] == b"synthetic: Better in 1 of 1 comparison.\n"
    for page in ("report.md", "report.html"):
        said = files[page].decode()
        assert "Judged figures that are no AUROC" in said
        assert "Differences to real" in said
        assert "No cell has scores." in said
