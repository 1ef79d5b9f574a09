"""A sample on which the engine always fails costs itself alone; see benchmarks/poison.py."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.installed import install_engine
from benchmarks.poison import (
    FOLDER_VARIABLE,
    VARIANTS,
    most_extra,
    num_extra,
    poisoned_dataset,
    poisoned_index,
)

NUM_SAMPLES, UNIT_SIZE = 96, 32
# On a busy machine a unit's samples may reach the engine in two calls instead of one.
SPLIT_CALLS = 3


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine; afterwards every path is as it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("PYTHONPATH", FOLDER_VARIABLE):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    install_engine(tmp_path / "site", "painters", "poisoned", "benchmarks.poison:PoisonedConfig")


@pytest.mark.parametrize("fault", VARIANTS)
def test_sample_that_always_fails_is_quarantined_and_the_others_published(
    fault: str, installed: None, tmp_path: Path
) -> None:
    result = poisoned_dataset(tmp_path, fault, NUM_SAMPLES, UNIT_SIZE)
    assert result.published == NUM_SAMPLES - 1
    assert result.quarantined == [poisoned_index(NUM_SAMPLES)]
    assert result.reason == "engine failed"
    assert ("device-side assert" if fault == "raises" else "exit status -9") in result.said
    assert 0 < result.extra_calls <= most_extra(UNIT_SIZE) + SPLIT_CALLS


def test_num_extra_counts_calls_with_a_sample_that_came_before() -> None:
    assert num_extra([["a"], ["b", "c"], ["d", "c"], ["c"], ["e"]]) == 2
