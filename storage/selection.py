"""Which samples are published: a pure function of the plan and the ledger.

An index below the target N may be published when it was accepted; an index from N on only when
all lower ones are settled; with the near-duplicate gate, which compares samples in index order,
every index waits for all lower ones. So a unit is published once, with rows that are final, and
neither the order of arrival nor a kill can change the published set.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.decisions import (
    QUARANTINED,
    REJECTED,
    Decision,
    Decisions,
    StageRecords,
    decide,
    without_near_duplicates,
)
from storage.near_duplicates import FindTwins, find_twins
from storage.records import RejectionReason, Stage
from storage.rounds import Rounds
from storage.settled import NO_REASON, REASONS
from storage.units import Unit


@dataclass(frozen=True, slots=True)
class SelectionRules:
    """What of the plan decides the published set.

    Attributes:
        target: N of `accepted: N`; None publishes all that is accepted.
        near_duplicate_max_distance: Bits of 256 up to which a later accepted image is a near
            duplicate of an earlier kept one; None switches that gate off.
        max_rounds: Rounds of painting and judging; 1 without a judge.
    """

    target: int | None
    near_duplicate_max_distance: int | None = None
    max_rounds: int = 1


@dataclass(frozen=True, slots=True)
class Selection:
    """What to publish, and what the dataset still lacks.

    Attributes:
        published: Per final unit, the indices to publish, in order; possibly none.
        rejects: Per final unit, the decisions to store as rejects (quarantined ones too).
        surplus: Accepted indices beyond the target: kept in staging, not published.
        surplus_units: The units that hold them.
        num_accepted: Accepted among all settled samples, known near-duplicates excluded.
        rejected: Reason → count, among all settled samples; quarantined ones are not in it.
        quarantined: Indices of quarantined samples.
        num_published: Indices in `published`.
        complete: The target is met (or, for `all`, every unit is settled).
        exhausted: Every candidate is settled and the target is not met.
        wanted_units: Units to work on next, in order: all open ones below N, then the reserves
            that the known losses call for at the acceptance rate seen so far.
        stages: The stages that samples pass, in order.
        rounds: How the units of later rounds are numbered.
        round_of: Decided index → the round it ended in, where that is not the first.
        round_of_unit: Wanted unit → the round it is in.
    """

    published: Mapping[int, tuple[int, ...]]
    rejects: Mapping[int, tuple[Decision, ...]]
    surplus: tuple[int, ...]
    surplus_units: frozenset[int]
    num_accepted: int
    rejected: Mapping[RejectionReason, int]
    quarantined: tuple[int, ...]
    num_published: int
    complete: bool
    exhausted: bool
    wanted_units: tuple[int, ...]
    stages: tuple[Stage, ...]
    rounds: Rounds
    round_of: Mapping[int, int]
    round_of_unit: Mapping[int, int]

    @property
    def num_repainted(self) -> int:
        """Decided samples of which the judge refused at least one image."""
        return len(self.round_of)

    @property
    def final_units(self) -> frozenset[int]:
        """Units whose rows can no longer change."""
        return frozenset(self.published)

    @property
    def num_missing_units(self) -> int:
        """Units still to settle, as far as can be known now."""
        return len(self.wanted_units)


def select(
    units: Sequence[Unit],
    records: StageRecords,
    rules: SelectionRules,
    find: FindTwins = find_twins,
) -> Selection:
    """Decide the published set from all settled outcomes.

    Args:
        units: All units of the plan, in order, as `partition` cuts them.
        records: Stage → unit → record, stages in the order samples pass them. A unit in which an
            earlier stage kept nothing needs no record of the later ones.
        rules: Target and near-duplicate distance of the plan.
        find: `find_twins`, or what remembers what that has found (`storage.comparisons`).

    Raises:
        DamagedObject: If a record lacks the outcome of a sample it must have settled.
    """
    rounds = Rounds(len(units), rules.max_rounds)
    decisions = decide(units, records, rounds)
    if rules.near_duplicate_max_distance is not None:
        distance = rules.near_duplicate_max_distance
        decisions = without_near_duplicates(decisions, distance, find)
    return _summary(_choose(decisions, rules), decisions, tuple(records), rounds, rules)


@dataclass(frozen=True, eq=False, slots=True)
class _Choice:
    """What to publish.

    Attributes:
        target: Samples wanted, or all candidates.
        accepted: Indices of all accepted samples, ascending.
        before_U: Accepted samples below each unit: where its own begin in `accepted`.
        num_U: How many accepted samples the unit has.
        final_U: Whether its rows can no longer change.
        is_reserve_U: Whether the unit lies beyond the target.
    """

    target: int
    accepted: NDArray[np.int64]
    before_U: NDArray[np.int64]
    num_U: NDArray[np.int64]
    final_U: NDArray[np.bool_]
    is_reserve_U: NDArray[np.bool_]

    @property
    def num_published(self) -> NDArray[np.int64]:
        """Samples to publish of each unit, (U,); none of one that is not final."""
        room = np.clip(self.target - self.before_U, 0, self.num_U)
        return np.where(self.final_U, room, 0)


def _choose(decisions: Decisions, rules: SelectionRules) -> _Choice:
    """The accepted of lowest index, from units that wait for none."""
    target = len(decisions.unit_N) if rules.target is None else rules.target
    num_U = decisions.per_unit(decisions.accepted)
    before_U = np.cumsum(num_U) - num_U  # exact for a unit before the first open one
    is_reserve_U = decisions.start_U >= target
    waits_U = is_reserve_U | (rules.near_duplicate_max_distance is not None)
    is_first_U = np.arange(len(num_U)) < decisions.num_first
    return _Choice(
        target=target,
        accepted=np.flatnonzero(decisions.accepted),
        before_U=before_U,
        num_U=num_U,
        final_U=decisions.settled_U & (is_first_U | ~waits_U) & (before_U < target),
        is_reserve_U=is_reserve_U,
    )


def _summary(
    choice: _Choice,
    decisions: Decisions,
    stages: tuple[Stage, ...],
    rounds: Rounds,
    rules: SelectionRules,
) -> Selection:
    num_published = int(choice.num_published.sum())
    all_settled = bool(decisions.settled_U.all())
    complete = all_settled if rules.target is None else num_published == rules.target
    surplus = _surplus(choice, decisions)
    rejected_N = decisions.decided & (decisions.outcome_N == REJECTED)
    reasons = decisions.reason_N[rejected_N & (decisions.reason_N != NO_REASON)]
    counts = np.bincount(reasons, minlength=len(REASONS)).tolist()
    repainted = np.flatnonzero(decisions.decided & (decisions.round_N > 1))
    wanted = () if complete else _wanted(choice, decisions)
    return Selection(
        published=_published(choice),
        rejects=_rejects(choice, decisions),
        surplus=tuple(surplus.tolist()),
        surplus_units=frozenset(decisions.unit_N[surplus].tolist()),
        num_accepted=len(choice.accepted),
        rejected={
            reason: count for reason, count in zip(REASONS, counts, strict=True) if count > 0
        },
        quarantined=tuple(
            np.flatnonzero(decisions.decided & (decisions.outcome_N == QUARANTINED)).tolist()
        ),
        num_published=num_published,
        complete=complete,
        exhausted=all_settled and not complete,
        wanted_units=wanted,
        stages=stages,
        rounds=rounds,
        round_of=dict(zip(repainted.tolist(), decisions.round_N[repainted].tolist(), strict=True)),
        round_of_unit={unit: int(decisions.round_U[unit]) for unit in wanted},
    )


def _published(choice: _Choice) -> dict[int, tuple[int, ...]]:
    """Indices to publish of each final unit."""
    accepted: list[int] = choice.accepted.tolist()
    starts, stops = choice.before_U, choice.before_U + choice.num_published
    units = np.flatnonzero(choice.final_U)
    return {
        unit: tuple(accepted[start:stop])
        for unit, start, stop in zip(
            units.tolist(), starts[units].tolist(), stops[units].tolist(), strict=True
        )
    }


def _surplus(choice: _Choice, decisions: Decisions) -> NDArray[np.int64]:
    """Accepted indices of reserves, beyond the target, that no open unit can still move."""
    beyond = choice.accepted[choice.target :]
    unit = decisions.unit_N[beyond]
    return beyond[choice.is_reserve_U[unit] & (unit < decisions.num_first)]


def _rejects(choice: _Choice, decisions: Decisions) -> dict[int, tuple[Decision, ...]]:
    """The decisions against samples of each final unit, in order."""
    refused: dict[int, list[Decision]] = {
        unit: [] for unit in np.flatnonzero(choice.final_U).tolist()
    }
    for index in np.flatnonzero(choice.final_U[decisions.unit_N] & ~decisions.accepted).tolist():
        decision = decisions.decision(index)
        refused[decision.unit].append(decision)
    return {unit: tuple(of_unit) for unit, of_unit in refused.items()}


def _wanted(choice: _Choice, decisions: Decisions) -> tuple[int, ...]:
    """Open units below the target, then as many reserves as the known losses call for."""
    size_U = np.bincount(decisions.unit_N)
    num_settled = int(size_U[decisions.settled_U].sum())
    rate = (len(choice.accepted) + 1) / (num_settled + 2)  # Laplace: neither 0 nor 1 at first
    below_U = ~choice.is_reserve_U
    wanted: list[int] = np.flatnonzero(below_U & ~decisions.settled_U).tolist()
    lost = int((size_U - choice.num_U)[below_U & decisions.settled_U].sum())
    for unit in np.flatnonzero(choice.is_reserve_U).tolist():
        if lost <= 0:
            break
        if decisions.settled_U[unit]:
            lost -= int(choice.num_U[unit])
        else:
            wanted.append(unit)
            lost -= max(1, math.floor(int(size_U[unit]) * rate))
    return tuple(wanted)
