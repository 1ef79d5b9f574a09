import pytest

from storage.errors import ObjectMissing, PlanMismatch
from storage.identity import fingerprint
from storage.objects import LocalStore
from storage.plan_lock import lock_plan, read_plan
from tests.storage.made import LAYOUT

_PLAN = {"writer": {"kind": "grammar", "tries": 3}, "caps": [15, 10], "target": None}


def test_lock_plan_twice_is_the_same_plan(store: LocalStore) -> None:
    assert lock_plan(store, LAYOUT, _PLAN) == fingerprint(_PLAN)
    assert lock_plan(store, LAYOUT, dict(reversed(_PLAN.items()))) == fingerprint(_PLAN)
    assert read_plan(store, LAYOUT) == _PLAN


def test_lock_plan_tuples_are_lists(store: LocalStore) -> None:
    lock_plan(store, LAYOUT, _PLAN)
    lock_plan(store, LAYOUT, _PLAN | {"caps": (15, 10)})


def test_lock_plan_other_plan_names_what_differs_in_one_line(store: LocalStore) -> None:
    lock_plan(store, LAYOUT, _PLAN)
    other = {"writer": {"kind": "vllm"}, "caps": [15, 11], "target": 5}
    with pytest.raises(PlanMismatch) as refused:
        lock_plan(store, LAYOUT, other)
    text = str(refused.value)
    assert "\n" not in text
    assert "dataset 'test-set' was made by another plan" in text
    assert "caps.1: was 10 / is 11" in text
    assert "target: was null / is 5" in text
    assert 'writer.kind: was "grammar" / is "vllm"' in text
    assert "writer.tries: was 3 / is absent" in text
    assert read_plan(store, LAYOUT) == _PLAN


def test_lock_plan_one_and_true_and_1_0_differ(store: LocalStore) -> None:
    lock_plan(store, LAYOUT, {"a": 1})
    for other in (True, 1.0):
        with pytest.raises(PlanMismatch, match="a: was 1 / is"):
            lock_plan(store, LAYOUT, {"a": other})


def test_lock_plan_many_differences_are_counted(store: LocalStore) -> None:
    lock_plan(store, LAYOUT, {str(number): 0 for number in range(20)})
    with pytest.raises(PlanMismatch, match="and 14 more"):
        lock_plan(store, LAYOUT, {str(number): 1 for number in range(20)})


def test_read_plan_of_no_dataset_is_missing(store: LocalStore) -> None:
    with pytest.raises(ObjectMissing):
        read_plan(store, LAYOUT)
