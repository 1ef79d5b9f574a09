import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import DamagedObject
from storage.ledger import SampleOutcome
from storage.records import Outcome, RejectionReason, Stage
from storage.selection import Selection, SelectionRules, select
from storage.settled import SettledRecords
from storage.units import Unit, partition
from tests.storage.made import record, signature

A, R, Q = "accepted", "rejected", "quarantined"
_REASONS = {
    A: None,
    R: RejectionReason.CONSTANT,
    Q: RejectionReason.ENGINE_FAILED,
}


def _records(
    units: list[Unit], outcomes: Mapping[int, str], stage: Stage, same: Mapping[int, int]
) -> SettledRecords:
    """Records of the units all of whose outcomes are given; `same` images share a signature."""
    return SettledRecords.of(
        record(
            stage,
            unit.number,
            tuple(
                SampleOutcome(
                    index,
                    Outcome(outcomes[index]),
                    _REASONS[outcomes[index]],
                    signature(same.get(index, index)) if stage is Stage.PAINT else "",
                )
                for index in unit.indices
                if index in outcomes
            ),
        )
        for unit in units
        if any(index in outcomes for index in unit.indices)
    )


def _select(
    units: list[Unit],
    painted: Mapping[int, str],
    *,
    target: int | None,
    written: Mapping[int, str] | None = None,
    distance: int | None = None,
    same: Mapping[int, int] | None = None,
) -> Selection:
    everything = dict.fromkeys(range(units[-1].stop), A) if written is None else written
    records = {
        Stage.WRITE: _records(units, everything, Stage.WRITE, {}),
        Stage.PAINT: _records(units, painted, Stage.PAINT, same or {}),
    }
    return select(units, records, SelectionRules(target, distance))


def _outcomes(letters: str) -> dict[int, str]:
    names = {"a": A, "r": R, "q": Q}
    return {index: names[letter] for index, letter in enumerate(letters) if letter != "."}


def test_select_below_target_is_published_at_once_in_any_order() -> None:
    chosen = _select(partition(4, 6, 2), _outcomes("..ar.."), target=4)
    assert dict(chosen.published) == {1: (2,)}
    assert not chosen.complete


def test_select_reserve_waits_for_all_lower_units() -> None:
    units = partition(4, 8, 2)
    waiting = _select(units, _outcomes("ra..aa.."), target=4)
    assert dict(waiting.published) == {0: (1,)}
    ready = _select(units, _outcomes("raaaaa.."), target=4)
    assert dict(ready.published) == {0: (1,), 1: (2, 3), 2: (4,)}
    assert ready.complete
    assert ready.surplus == (5,)
    assert ready.surplus_units == {2}
    assert ready.wanted_units == ()


def test_select_lowest_indices_are_published_not_the_first_to_arrive() -> None:
    units = partition(2, 6, 2)
    chosen = _select(units, _outcomes("raaraa"), target=2)
    assert dict(chosen.published) == {0: (1,), 1: (2,)}
    assert chosen.surplus == (4, 5)
    assert 2 not in chosen.final_units


def test_select_reserve_that_is_not_needed_is_never_final() -> None:
    chosen = _select(partition(2, 6, 2), _outcomes("aarr.."), target=2)
    assert dict(chosen.published) == {0: (0, 1)}
    assert chosen.rejects.keys() == {0}
    assert chosen.complete


def test_select_all_publishes_every_accepted_and_is_complete_when_settled() -> None:
    units = partition(None, 5, 2)
    chosen = _select(units, _outcomes("arqaa"), target=None)
    assert dict(chosen.published) == {0: (0,), 1: (3,), 2: (4,)}
    assert chosen.complete
    assert not chosen.exhausted
    assert chosen.quarantined == (2,)
    assert dict(chosen.rejected) == {RejectionReason.CONSTANT: 1}
    assert [one.index for one in chosen.rejects[0]] == [1]
    assert [one.outcome for one in chosen.rejects[1]] == [Outcome.QUARANTINED]
    assert not _select(units, _outcomes("arqa."), target=None).complete


def test_select_rejected_at_write_needs_no_image() -> None:
    units = partition(None, 4, 2)
    chosen = _select(units, {0: A, 1: A}, written={0: A, 1: A, 2: R, 3: Q}, target=None)
    assert dict(chosen.published) == {0: (0, 1), 1: ()}
    assert [one.stage for one in chosen.rejects[1]] == [Stage.WRITE, Stage.WRITE]
    assert chosen.complete


def test_select_write_settled_alone_is_not_settled() -> None:
    chosen = _select(partition(None, 2, 2), {}, target=None)
    assert dict(chosen.published) == {}
    assert chosen.wanted_units == (0,)
    assert chosen.num_missing_units == 1


def test_select_record_that_lacks_a_sample_is_refused() -> None:
    with pytest.raises(DamagedObject, match=r"got none for \[1\]"):
        _select(partition(None, 2, 2), {0: A}, target=None)


def test_select_too_few_is_exhausted_with_reasons() -> None:
    chosen = _select(partition(3, 4, 2), _outcomes("arra"), target=3)
    assert chosen.exhausted
    assert not chosen.complete
    assert chosen.num_published == 2
    assert chosen.wanted_units == ()


def test_select_near_duplicate_later_index_is_rejected() -> None:
    chosen = _select(partition(None, 4, 2), _outcomes("aaaa"), target=None, distance=8, same={2: 0})
    assert dict(chosen.published) == {0: (0, 1), 1: (3,)}
    (reject,) = chosen.rejects[1]
    assert reject.reason is RejectionReason.NEAR_DUPLICATE
    assert reject.twin is not None
    assert (reject.twin.index, reject.twin.distance) == (0, 0)


def test_select_near_duplicate_of_a_rejected_one_is_kept() -> None:
    chosen = _select(partition(None, 4, 2), _outcomes("raaa"), target=None, distance=8, same={2: 0})
    assert dict(chosen.published) == {0: (1,), 1: (2, 3)}


def test_select_with_near_duplicate_gate_waits_for_lower_units() -> None:
    units = partition(4, 4, 2)
    assert dict(_select(units, _outcomes("..aa"), target=4, distance=8).published) == {}
    assert dict(_select(units, _outcomes("..aa"), target=4).published) == {1: (2, 3)}


def test_select_near_duplicates_are_replaced_by_reserves() -> None:
    chosen = _select(partition(4, 6, 2), _outcomes("aaaaaa"), target=4, distance=8, same={3: 1})
    assert dict(chosen.published) == {0: (0, 1), 1: (2,), 2: (4,)}
    assert chosen.complete


def test_select_wants_open_units_first_then_reserves_for_known_losses() -> None:
    units = partition(8, 16, 2)
    assert _select(units, {}, target=8).wanted_units == (0, 1, 2, 3)
    assert _select(units, _outcomes("aaaa"), target=8).wanted_units == (2, 3)
    assert _select(units, _outcomes("raaaaaaa"), target=8).wanted_units == (4,)
    assert _select(units, _outcomes("rraaaaaa"), target=8).wanted_units == (4, 5)
    assert _select(units, _outcomes("raaaaaaarr"), target=8).wanted_units == (5,)


@given(st.data(), st.integers(1, 24), st.integers(1, 5), st.booleans(), st.integers(0, 999))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_select_over_any_order_of_arrival_publishes_the_same_and_never_takes_back(
    data: st.DataObject, num_candidates: int, unit_size: int, with_gate: bool, seed: int
) -> None:
    """Resume, kills and order of arrival: what was final once stays, and the end is the same."""
    target = data.draw(st.none() | st.integers(1, num_candidates))
    letters = data.draw(st.text("aaarq", min_size=num_candidates, max_size=num_candidates))
    same = {index: index % 3 for index in range(0, num_candidates, 2)} if with_gate else {}
    distance = 8 if with_gate else None
    units = partition(target, num_candidates, unit_size)
    outcomes = _outcomes(letters)
    at_once = _select(units, outcomes, target=target, distance=distance, same=same)

    arrived: dict[int, str] = {}
    published: dict[int, tuple[int, ...]] = {}
    for unit in random.Random(seed).sample(units, len(units)):
        arrived |= {index: outcomes[index] for index in unit.indices}
        now = _select(units, arrived, target=target, distance=distance, same=same)
        assert published.items() <= now.published.items()
        published = dict(now.published)
        assert now.complete or now.exhausted or now.wanted_units
    assert published == dict(at_once.published)


@given(st.data(), st.integers(2, 30), st.integers(1, 5))
@settings(derandomize=True, deadline=None)
def test_select_working_only_on_what_is_wanted_reaches_the_lowest_accepted(
    data: st.DataObject, num_candidates: int, unit_size: int
) -> None:
    target = data.draw(st.integers(1, num_candidates))
    letters = data.draw(st.text("arq", min_size=num_candidates, max_size=num_candidates))
    units = partition(target, num_candidates, unit_size)
    outcomes = _outcomes(letters)
    done: dict[int, str] = {}
    chosen = _select(units, done, target=target)
    while chosen.wanted_units:
        for number in chosen.wanted_units:
            done |= {index: outcomes[index] for index in units[number].indices}
        chosen = _select(units, done, target=target)
    accepted = [index for index in range(num_candidates) if outcomes[index] == A]
    published = sorted(index for indices in chosen.published.values() for index in indices)
    assert published == accepted[:target]
    assert chosen.complete == (len(accepted) >= target)
    assert chosen.exhausted != chosen.complete


@given(st.data(), st.integers(2, 30), st.integers(1, 5))
@settings(max_examples=150)
def test_select_wanted_before_near_duplicates_are_sought_is_wanted_after_too(
    data: st.DataObject, num_candidates: int, unit_size: int
) -> None:
    """So a run may work on those first, and compare images only when nothing else is left."""
    target = data.draw(st.none() | st.integers(1, num_candidates))
    letters = data.draw(st.text("aarq", min_size=num_candidates, max_size=num_candidates))
    same = {index: index % 4 for index in range(0, num_candidates, 3)}
    units, outcomes = partition(target, num_candidates, unit_size), _outcomes(letters)
    done: dict[int, str] = {}
    while True:
        sooner = _select(units, done, target=target, same=same).wanted_units
        wanted = _select(units, done, target=target, distance=8, same=same).wanted_units
        assert set(sooner) <= set(wanted)
        if not wanted:
            break
        for number in sooner or wanted:
            done |= {index: outcomes[index] for index in units[number].indices}
    ended = _select(units, done, target=target, distance=8, same=same)
    everything = _select(units, outcomes, target=target, distance=8, same=same)
    assert ended.published == everything.published
