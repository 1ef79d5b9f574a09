"""The report of a study: written from what its cells found, and shown in Prefect's UI."""

from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from models.studies.results import FailedCell, StudyResults
from storage.layout import StudyLayout
from storage.objects import open_store
from tasks.artifacts import artifact_key

REPORT_FILE, MARKDOWN_FILE, VERDICT_FILE = "report.html", "report.md", "verdict.txt"


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """What a study came to.

    Attributes:
        report: Where its page lies.
        num_cells: Of the plan.
        failed: Cells without a result, and why.
        verdicts: A line for each arm but the reference.
    """

    study: str
    report: str
    num_cells: int
    failed: tuple[FailedCell, ...]
    verdicts: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "study": self.study,
            "report": self.report,
            "num_cells": self.num_cells,
            "failed": {one.cell.name: one.reason for one in self.failed},
            "verdicts": list(self.verdicts),
        }

    def as_text(self) -> str:
        """For a terminal."""
        lines = [f"study {self.study}: {self.num_cells - len(self.failed)} of {self.num_cells} "]
        lines[0] += "cells finished"
        lines += [f"  {one.cell.name} failed: {one.reason}" for one in self.failed]
        lines += [f"  {verdict}" for verdict in self.verdicts]
        return "\n".join([*lines, f"report: {self.report}"])


@task(name="write-study-report", cache_policy=NO_CACHE, persist_result=False)
def write_study_report(root: str, results: StudyResults, margin: float | None) -> StudyOutcome:
    """Write a study's report under `studies/<name>/`; made again, it takes the old one's place.

    Args:
        root: Folder or s3://bucket/prefix.
        results: Of all cells.
        margin: Difference in AUROC that does not matter, of the plan.
    """
    from models.studies.report import write_report

    store, layout = open_store(root), StudyLayout(results.name)
    files = write_report(results, margin)
    for name, data in files.items():
        store.put(layout.report(name), data)
    outcome = StudyOutcome(
        study=results.name,
        report=store.uri(layout.report(REPORT_FILE)),
        num_cells=len(results.arms) * len(results.algorithms) * len(results.seeds),
        failed=results.failed,
        verdicts=tuple(files[VERDICT_FILE].decode().splitlines()),
    )
    create_markdown_artifact(
        markdown=files[MARKDOWN_FILE].decode(),
        key=f"{artifact_key(results.name)}-study",
        description=f"Report of study {results.name}; with plots: {outcome.report}",
    )
    return outcome
