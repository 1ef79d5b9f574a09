import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from models.studies.report import NOTICE, write_report
from models.studies.results import EVERY_METRIC, Cell, FailedCell, MeasuredFigure
from tests.models.studies.made_studies import all_failed, cells, scored_sets, study

VOID = {"meta", "br", "hr", "img", "link", "input"}


class _Page(HTMLParser):
    """What a page consists of; refuses tags that do not close."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "action"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    small = study({"real": 1.0, "synthetic": 0.1, "mixed": 1.0})
    dead = Cell("mixed", "convirt", 2)
    return write_report(
        replace(
            small,
            scored=tuple(one for one in small.scored if one.cell != dead),
            failed=(FailedCell(dead, "loss is nan at step 12"),),
            figures=(
                *small.figures[:-1],
                MeasuredFigure(dead, "map", "dice", None, None, "no mask"),
            ),
        )
    )


def _rows(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[name].decode())))


def test_page_is_whole_in_itself(files: dict[str, bytes]) -> None:
    page = _Page(files["report.html"])
    assert "script" not in page.tags and "link" not in page.tags and "iframe" not in page.tags
    assert page.links == []
    assert not re.search(rb"url\(|@import", files["report.html"])
    assert len(set(page.ids)) == len(page.ids)
    assert "<span" not in page.text
    assert page.text.count(NOTICE) == 2
    assert NOTICE in files["report.md"].decode()


def test_every_plot_says_in_words_what_it_shows_and_where_its_data_are(
    files: dict[str, bytes],
) -> None:
    page = files["report.html"].decode()
    assert page.count("<svg") == page.count("<title id=") == page.count("<desc id=") == 4
    named = set(re.findall(r"<code>(\w+\.csv)</code>", page))
    assert named <= set(files)
    assert {"findings.csv", "learning_curves.csv"} <= named


def test_tables_have_a_row_for_every_figure(files: dict[str, bytes]) -> None:
    assert len(_rows(files, "cells.csv")) == 8 * 3  # trainings by projections
    assert len(_rows(files, "arms.csv")) == 3 * 3
    assert len(_rows(files, "differences.csv")) == 2 * 3
    assert len(_rows(files, "findings.csv")) == 2 * 5
    assert len(_rows(files, "learning_curves.csv")) == 9 * 40
    assert _rows(files, "failed.csv") == [
        {"arm": "mixed", "algorithm": "convirt", "seed": "2", "reason": "loss is nan at step 12"}
    ]
    judged = [row for row in _rows(files, "differences.csv") if row["projection"] == "all"]
    assert [row["verdict"] for row in judged] == ["worse", "no difference shown"]
    within = [row for row in _rows(files, "differences.csv") if row["projection"] != "all"]
    assert all(row["low"] and not row["p"] and not row["verdict"] for row in within)


def test_page_and_markdown_say_the_verdict_the_failure_and_the_limits(
    files: dict[str, bytes],
) -> None:
    for words in (_Page(files["report.html"]).text, files["report.md"].decode()):
        assert "Worse in 1 of 1 comparison." in words
        assert "No difference shown in 1 of 1 comparison." in words
        assert re.search(r"smaller than about 0\.\d+ could not have been shown", words)
        assert "mixed, convirt, seed 2" in words
        assert "loss is nan at step 12" in words
        assert "seeds 0, 1 only" in words
        assert "undefined: no mask" in words
        assert "Labels were mined from reports." in words
        assert " equal to" not in words


def test_markdown_tables_have_as_many_cells_in_every_row(files: dict[str, bytes]) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", files["report.md"].decode(), re.MULTILINE)
    assert len(blocks) == 7
    for block in blocks:
        lines = block.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_same_results_give_the_same_bytes() -> None:
    small = study({"real": 1.0, "synthetic": 0.4}, seeds=(0,))
    assert write_report(small) == write_report(small)


def test_one_seed_is_said_to_hold_for_that_training_alone() -> None:
    page = _Page(write_report(study({"real": 1.0, "synthetic": 0.1}, seeds=(4,)))["report.html"])
    assert "this holds for these two trainings alone" in page.text
    assert "Worse in 1 of 1 comparison. With one seed a side, of those trainings" in page.text
    assert "One seed: every figure holds for these trainings alone." in page.text


def test_difference_that_no_projection_shows_is_said_to_be_none_within() -> None:
    """Scores and labels that go with projection alone: AUROC is high in all, 0.5 within each."""
    small = study({"blind": 0.0, "projection": 0.0})
    ap = np.array([view == "AP" for view in small.scored[0].views])[:, None]
    labels = np.random.default_rng(0).random(small.scored[0].labels_NF.shape) < 0.1 + 0.8 * ap
    told = tuple(
        replace(
            one,
            labels_NF=labels.astype(np.int8),
            scores_NF=one.scores_NF + (4.0 * ap if one.cell.arm == "projection" else 0.0),
        )
        for one in small.scored
    )
    page = _Page(write_report(replace(small, scored=told))["report.html"])
    assert "Better in 1 of 1 comparison." in page.text
    assert "Not so within AP or PA alone" in page.text


def test_verdict_has_a_line_for_each_arm(files: dict[str, bytes]) -> None:
    assert files["verdict.txt"].decode().splitlines() == [
        "synthetic: Worse in 1 of 1 comparison.",
        "mixed: No difference shown in 1 of 1 comparison.",
    ]


def test_margin_gives_a_statement_of_equivalence_and_none_without() -> None:
    alike = study({"real": 1.0, "copy": 1.0})
    assert b"quivalent" not in write_report(alike)["report.html"]
    assert b"Equivalent within \xc2\xb10.3" in write_report(alike, margin=0.3)["report.html"]


def test_study_of_which_every_cell_failed_has_a_report_that_says_so() -> None:
    files = write_report(all_failed())
    for words in (_Page(files["report.html"]).text, files["report.md"].decode()):
        assert "Nothing was measured." in words
        assert "No cell has scores." in words
        assert words.count("loss is nan at step 3") == 2


def test_study_of_one_arm_compares_nothing() -> None:
    page = _Page(write_report(study({"real": 1.0}))["report.html"])
    assert "there is nothing to compare it with" in page.text


def test_names_of_a_plan_are_never_markup() -> None:
    small = study({"real": 1.0, "<script>|*x*": 0.5}, seeds=(0,))
    files = write_report(replace(small, cannot_show=("a | b\nc",)))
    assert "script" not in _Page(files["report.html"]).tags
    assert "\\<script>\\|\\*x\\*" in files["report.md"].decode()
    assert "- a \\| b c\n" in files["report.md"].decode()


def test_every_algorithm_has_a_table_of_arms_by_tasks() -> None:
    first = study({"real": 1.0, "synthetic": 0.5}, seeds=(0,))
    of = cells({"real": 1.2, "synthetic": 0.7}, (0,), "clip")
    probes = {task: scored_sets(of, task=task) for task in ("zero_shot/nih", "linear_probe/nih")}
    more = (*first.scored, *probes["zero_shot/nih"], *probes["linear_probe/nih"])
    both = replace(first, algorithms=("convirt", "clip"), scored=more)
    said = write_report(both)["report.md"].decode()
    assert said.count("| arm | zero_shot/nih | linear_probe/nih |") == 2
    convirt = said.index("### convirt\n")
    row = next(line for line in said[convirt:].splitlines() if line.startswith("| synthetic |"))
    assert re.fullmatch(r"\| synthetic \| 0\.\d{3} \(.+\).* \| – \|", row)
    assert "nothing of synthetic was measured" in said


def test_task_that_an_algorithm_cannot_do_has_its_reason_and_no_empty_rows() -> None:
    both = replace(study({"real": 1.0}, seeds=(0,)), algorithms=("convirt", "gloria"))
    task, unable = "grounding/phantoms", "compares no regions"
    figures = (
        MeasuredFigure(Cell("real", "convirt", 0), task, EVERY_METRIC, None, reason=unable),
        MeasuredFigure(Cell("real", "gloria", 0), task, "iou", 0.25),
    )
    said = write_report(replace(both, figures=figures))["report.md"].decode()
    rows = [line for line in said.splitlines() if line.startswith(f"| {task}")]
    assert rows == [
        f"| {task}: every figure | convirt | undefined: {unable} |",
        f"| {task}: iou | gloria | 0.250, 1 seed |",
    ]


def test_findings_of_few_patients_are_named_among_what_the_study_cannot_show() -> None:
    small = study({"real": 1.0, "synthetic": 0.5}, seeds=(0,))
    for one in small.scored:
        one.labels_NF[:, 1] = 0
        one.labels_NF[:2, 1] = 1
    files = write_report(small)
    page = _Page(files["report.html"])
    assert re.search(r"Over the 4 findings of 5 patients or more alone: .0\.\d{3} \(", page.text)
    assert "without rare findings (95 %)" in page.text
    (judged, *_) = _rows(files, "differences.csv")
    assert (judged["num_common_findings"], bool(judged["common_low"])) == ("4", True)
    assert "zero_shot/nih, convirt: fewer than 5 patients show, or lack, effusion." in page.text
