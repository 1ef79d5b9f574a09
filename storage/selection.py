"""Which samples are published: a pure function of the plan and the ledger.

An index below the target N may be published when it was accepted; an index from N on only when
all lower ones are settled; with the near-duplicate gate, which compares samples in index order,
every index waits for all lower ones. So a unit is published once, with rows that are final, and
neither the order of arrival nor a kill can change the published set.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storage.decisions import Decisions, StageRecords, decide_unit, without_near_duplicates
from storage.records import Outcome, RejectionReason, Stage
from storage.rounds import Rounds
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
    rejects: Mapping[int, Decisions]
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


def select(units: Sequence[Unit], records: StageRecords, rules: SelectionRules) -> Selection:
    """Decide the published set from all settled outcomes.

    Args:
        units: All units of the plan, in order, as `partition` cuts them.
        records: Stage → unit → record, stages in the order samples pass them. A unit in which an
            earlier stage kept nothing needs no record of the later ones.
        rules: Target and near-duplicate distance of the plan.

    Raises:
        DamagedObject: If a record lacks the outcome of a sample it must have settled.
    """
    rounds = Rounds(len(units), rules.max_rounds)
    states = {unit.number: decide_unit(unit, records, rounds) for unit in units}
    decided = {
        number: state.decisions for number, state in states.items() if state.decisions is not None
    }
    prefix = _settled_prefix(units, decided)
    if rules.near_duplicate_max_distance is not None:
        decided |= without_near_duplicates(decided, prefix, rules.near_duplicate_max_distance)
    target = units[-1].stop if rules.target is None else rules.target
    published, surplus = _choose(units, decided, prefix, target, rules)
    wanted = {unit: states[unit].round_number for unit in _wanted(units, decided, target)}
    return _summary(units, decided, published, surplus, wanted, tuple(records), rules)


def _settled_prefix(units: Sequence[Unit], decided: Mapping[int, object]) -> list[Unit]:
    """Units before the first open one."""
    prefix = []
    for unit in units:
        if unit.number not in decided:
            break
        prefix.append(unit)
    return prefix


def _choose(
    units: Sequence[Unit],
    decided: Mapping[int, Decisions],
    prefix: Sequence[Unit],
    target: int,
    rules: SelectionRules,
) -> tuple[dict[int, tuple[int, ...]], tuple[int, ...]]:
    """Indices to publish per final unit, and the surplus."""
    in_prefix = {unit.number for unit in prefix}
    published: dict[int, tuple[int, ...]] = {}
    surplus: list[int] = []
    num_before = 0  # accepted below this unit; exact for a unit of the prefix
    for unit in units:
        if unit.number not in decided:
            continue
        accepted = [one.index for one in decided[unit.number] if one.accepted]
        room = max(target - num_before, 0)
        num_before += len(accepted)
        below_target = unit.start < target
        if unit.number in in_prefix and not below_target:
            surplus += accepted[room:]
        waits = rules.near_duplicate_max_distance is not None or not below_target
        if (unit.number in in_prefix or not waits) and room > 0:
            published[unit.number] = tuple(accepted[:room])
    return published, tuple(surplus)


def _summary(
    units: Sequence[Unit],
    decided: Mapping[int, Decisions],
    published: Mapping[int, tuple[int, ...]],
    surplus: tuple[int, ...],
    wanted: Mapping[int, int],
    stages: tuple[Stage, ...],
    rules: SelectionRules,
) -> Selection:
    decisions = [decision for of_unit in decided.values() for decision in of_unit]
    reasons = Counter(one.reason for one in decisions if one.outcome is Outcome.REJECTED)
    num_published = sum(len(indices) for indices in published.values())
    beyond = set(surplus)
    all_settled = len(decided) == len(units)
    complete = all_settled if rules.target is None else num_published == rules.target
    return Selection(
        published=published,
        rejects={
            number: tuple(one for one in decided[number] if not one.accepted)
            for number in published
        },
        surplus=surplus,
        surplus_units=frozenset(one.unit for one in decisions if one.index in beyond),
        num_accepted=sum(one.accepted for one in decisions),
        rejected={reason: count for reason, count in reasons.items() if reason is not None},
        quarantined=tuple(one.index for one in decisions if one.outcome is Outcome.QUARANTINED),
        num_published=num_published,
        complete=complete,
        exhausted=all_settled and not complete,
        wanted_units=() if complete else tuple(wanted),
        stages=stages,
        rounds=Rounds(len(units), rules.max_rounds),
        round_of={one.index: one.round_number for one in decisions if one.round_number > 1},
        round_of_unit={} if complete else wanted,
    )


def _wanted(
    units: Sequence[Unit], decided: Mapping[int, Decisions], target: int
) -> tuple[int, ...]:
    """Open units below the target, then as many reserves as the known losses call for."""
    num_settled = sum(len(of_unit) for of_unit in decided.values())
    num_accepted = sum(one.accepted for of_unit in decided.values() for one in of_unit)
    rate = (num_accepted + 1) / (num_settled + 2)  # Laplace: neither 0 nor 1 after a first unit
    wanted = [unit.number for unit in units if unit.start < target and unit.number not in decided]
    lost = sum(
        not one.accepted for of_unit in decided.values() for one in of_unit if one.index < target
    )
    for unit in units:
        if unit.start < target or lost <= 0:
            continue
        if unit.number in decided:
            lost -= sum(one.accepted for one in decided[unit.number])
        else:
            wanted.append(unit.number)
            lost -= max(1, math.floor(unit.num_samples * rate))
    return tuple(wanted)
