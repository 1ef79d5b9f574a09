"""A dataset is gone on with after a crash, also one from before its plan was locked."""

from pathlib import Path

from flows.generate import generate_dataset
from flows.resume import resume_dataset
from tests.flows.conftest import tiny_plan


def test_resume_makes_a_dataset_whose_plan_was_never_locked(tmp_path: Path) -> None:
    made = resume_dataset(tiny_plan(), str(tmp_path))
    assert made.complete
    assert generate_dataset(tiny_plan(), str(tmp_path)) == made, "the same work"
