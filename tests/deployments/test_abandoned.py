"""After which crashes the patrol goes on with a dataset, and after which it leaves it be."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from deployments.abandoned import Orchestration, abandoned
from deployments.lookout import GENERATE, RESUME, RESUME_AUTOMATION, RETRY_AUTOMATION
from deployments.specification import read_specification

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AFTER = timedelta(seconds=30)


def _run(
    ended: float | None, is_resumed: bool = False, dataset: str = "tiny", root: str = "/a"
) -> Orchestration:
    when = None if ended is None else NOW - timedelta(seconds=ended)
    return Orchestration(uuid4(), root, dataset, when, is_resumed)


def test_crash_that_nobody_went_on_after_is_found_after_the_automations_time() -> None:
    assert abandoned([_run(29, is_resumed=True)], NOW, AFTER) == []
    crashed = _run(30, is_resumed=True)
    assert abandoned([crashed], NOW, AFTER) == [crashed]


def test_crash_that_another_run_goes_on_after_is_left() -> None:
    assert abandoned([_run(60, is_resumed=True), _run(None)], NOW, AFTER) == []


def test_crash_after_which_another_run_ended_is_left_however_that_ended() -> None:
    assert abandoned([_run(60, is_resumed=True), _run(20)], NOW, AFTER) == []


def test_crashes_of_one_dataset_are_gone_on_after_once() -> None:
    newest = _run(40, is_resumed=True)
    assert abandoned([_run(60, is_resumed=True), newest], NOW, AFTER) == [newest]


def test_datasets_of_one_name_in_two_roots_are_two() -> None:
    crashed = _run(60, is_resumed=True)
    assert abandoned([crashed, _run(None, root="/b")], NOW, AFTER) == [crashed]


def test_names_are_those_of_the_deployments_and_of_the_automation() -> None:
    specified = {one.name: one for one in read_specification("/factory")}
    assert GENERATE in specified
    (trigger,) = specified[RESUME].triggers
    assert trigger.name == RESUME_AUTOMATION
    (trigger,) = specified["retry-crashed-run"].triggers
    assert trigger.name == RETRY_AUTOMATION
