"""Orchestrators, shards and publishers of the same dataset at once: all is there exactly once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.chaos.checks import failures
from benchmarks.chaos.made import Made, variant_plan

NUM_DATASETS = 3
_PROJECT = Path(__file__).parents[2]


@pytest.mark.server
@pytest.mark.s3
@pytest.mark.timeout(900)
def test_datasets_made_by_several_at_once_equal_undisturbed_ones() -> None:
    ours = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    command = [sys.executable, "-m", "benchmarks.races", "--datasets", str(NUM_DATASETS)]
    ran = subprocess.run(
        command, cwd=_PROJECT, env=ours, capture_output=True, text=True, check=False
    )
    assert ran.stdout, ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["failures"] == []
    assert ran.returncode == 0
    assert set(found["ended"].values()) == {2 * NUM_DATASETS}


def test_dataset_that_was_never_made_is_one_line_of_what_is_broken(tmp_path: Path) -> None:
    made = Made(variant_plan(0, "r00"), str(tmp_path), variant=0, by_command=True)
    (line,) = failures(made, frozenset())
    assert line.startswith("r00: ValueError: expected a dataset 'r00'")
