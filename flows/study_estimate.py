"""How much a study will do, and how long that takes at the pace of its finished cells."""

from dataclasses import dataclass
from datetime import timedelta
from statistics import mean
from typing import Any

from flows.study_preparation import absent_corpora, has_release
from flows.study_work import StudyWork
from models.studies.results import Cell
from tasks.cell_files import read_cell


@dataclass(frozen=True, slots=True)
class StudyEstimate:
    """What is to be done.

    Attributes:
        name: The study's.
        num_cells: Of the plan.
        num_finished: Of them.
        steps_left: Optimiser steps of the others; None where epochs decide.
        pairs_to_make: Of each dataset that has no release.
        corpora_to_bring: Names.
        seconds_left: For the cells that are left, one after another; None before the first ended.
    """

    name: str
    num_cells: int
    num_finished: int
    steps_left: int | None
    pairs_to_make: dict[str, int]
    corpora_to_bring: tuple[str, ...]
    seconds_left: float | None

    def as_text(self) -> str:
        """A few lines."""
        left = self.num_cells - self.num_finished
        steps = "as many as the epochs give" if self.steps_left is None else str(self.steps_left)
        pairs = ", ".join(f"{count} of {name}" for name, count in self.pairs_to_make.items())
        lines = [
            f"study {self.name}: {self.num_cells} cells, {self.num_finished} finished, {left} left",
            f"  optimiser steps  {steps}",
            f"  pairs to make    {pairs or 'none'}",
            f"  corpora to bring {', '.join(self.corpora_to_bring) or 'none'}",
            f"  time left        {self.time_left()}",
        ]
        return "\n".join(lines)

    def time_left(self) -> str:
        """In words."""
        if self.num_cells == self.num_finished:
            return "none"
        if self.seconds_left is None:
            return "known once the first cell is finished"
        about = timedelta(seconds=round(self.seconds_left))
        return f"about {about} for the cells one after another, at the pace of the finished ones"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "study": self.name,
            "num_cells": self.num_cells,
            "num_finished": self.num_finished,
            "steps_left": self.steps_left,
            "pairs_to_make": self.pairs_to_make,
            "corpora_to_bring": list(self.corpora_to_bring),
            "seconds_left": self.seconds_left,
        }


def estimate(work: StudyWork) -> StudyEstimate:
    """What a study still has to do; writes nothing."""
    plan, finished = work.plan, work.finished()
    left = [cell for cell in plan.cells if cell not in finished]
    steps = [plan.model_of(cell).training.steps for cell in left]
    known = [one for one in steps if one is not None]
    return StudyEstimate(
        name=plan.name,
        num_cells=len(plan.cells),
        num_finished=len(finished),
        steps_left=sum(known) if len(known) == len(steps) else None,
        pairs_to_make={
            one.name: one.target.num_accepted or one.target.num_candidates
            for one in plan.datasets
            if not has_release(work.store, one.name)
        },
        corpora_to_bring=tuple(one.name for one in absent_corpora(work)),
        seconds_left=_seconds(work, finished, left),
    )


def _seconds(work: StudyWork, finished: list[Cell], left: list[Cell]) -> float | None:
    """By the mean of the finished cells of the same algorithm, or of all where it has none."""
    if not finished:
        return None
    found = [read_cell(work.store, work.layout, cell) for cell in finished]
    took = {one.cell: one.training_seconds + one.evaluation_seconds for one in found}
    of_algorithm = {
        one.name: [seconds for cell, seconds in took.items() if cell.algorithm == one.name]
        for one in work.plan.algorithms
    }
    return sum(mean(of_algorithm[cell.algorithm] or took.values()) for cell in left)
