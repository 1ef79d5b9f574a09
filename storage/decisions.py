"""Where each sample of a settled unit ended, over stages, rounds and the near-duplicate gate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from storage.errors import DamagedObject
from storage.ledger import LedgerRecord, SampleOutcome
from storage.near_duplicates import NearDuplicates, Twin
from storage.records import Outcome, RejectionReason, Stage
from storage.rounds import Rounds
from storage.units import Unit

StageRecords = Mapping[Stage, Mapping[int, LedgerRecord]]
Decisions = tuple["Decision", ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """Where one sample of a settled unit ended.

    Attributes:
        stage: The stage that decided: the one that said no, or the last.
        reason: None exactly when accepted.
        twin: The kept sample it nearly repeats, for a near-duplicate.
        round_number: The round it ended in; 1 without a judge.
        signature: Perceptual hash of its last image; empty without one.
    """

    index: int
    unit: int
    stage: Stage
    outcome: Outcome
    reason: RejectionReason | None
    twin: Twin | None = None
    round_number: int = 1
    signature: str = ""

    @property
    def accepted(self) -> bool:
        """True when every stage kept it."""
        return self.outcome is Outcome.ACCEPTED


@dataclass(frozen=True, slots=True)
class UnitState:
    """How far a unit has come.

    Attributes:
        round_number: The round it is in, or ended in.
        decisions: On every sample, in order; None while a stage owes its record.
    """

    round_number: int
    decisions: Decisions | None


def decide_unit(unit: Unit, records: StageRecords, rounds: Rounds) -> UnitState:
    """Where every sample of the unit ended, or the round whose record is still owed.

    A sample passes the stages in order and ends where one says no. What the judge refuses is
    painted and judged again, until the rounds are used up.

    Raises:
        DamagedObject: If a record lacks the outcome of a sample it must have settled.
    """
    decisions: dict[int, Decision] = {}
    waiting = set(unit.indices)
    round_number = 1
    for round_number in rounds.all:
        for stage in _stages_of(round_number, records):
            if not waiting:
                break
            record = records[stage].get(rounds.number(unit.number, round_number))
            if record is None:
                return UnitState(round_number, None)
            for outcome in _outcomes(record, waiting):
                before = decisions.get(outcome.index)
                decisions[outcome.index] = Decision(
                    index=outcome.index,
                    unit=unit.number,
                    stage=stage,
                    outcome=outcome.outcome,
                    reason=outcome.reason,
                    round_number=round_number,
                    signature=outcome.signature or (before.signature if before else ""),
                )
            waiting = {index for index in waiting if decisions[index].accepted}
        waiting = {one.index for one in decisions.values() if _is_sent_back(one, round_number)}
        if not waiting:
            break
    return UnitState(round_number, tuple(decisions[index] for index in unit.indices))


def _stages_of(round_number: int, records: StageRecords) -> list[Stage]:
    """Later rounds paint the reports that the first round wrote."""
    return [stage for stage in records if round_number == 1 or stage is not Stage.WRITE]


def _is_sent_back(decision: Decision, round_number: int) -> bool:
    refused = decision.stage is Stage.JUDGE and decision.outcome is Outcome.REJECTED
    return refused and decision.round_number == round_number


def _outcomes(record: LedgerRecord, open_indices: set[int]) -> Iterator[SampleOutcome]:
    """The record's outcomes of samples that reached its stage; each must be there."""
    found = {outcome.index: outcome for outcome in record.outcomes}
    missing = sorted(open_indices - found.keys())
    if missing:
        raise DamagedObject(
            f"ledger record of unit {record.unit}, stage {record.stage}: expected the outcome of "
            f"every sample, got none for {missing[:5]}; the plan or the record was changed"
        )
    return (found[index] for index in sorted(open_indices))


def without_near_duplicates(
    decided: Mapping[int, Decisions], prefix: Sequence[Unit], max_distance: int
) -> dict[int, Decisions]:
    """The prefix's decisions after the gate that compares samples in index order."""
    kept = NearDuplicates(max_distance)
    return {
        unit.number: tuple(_check_repeat(decision, kept) for decision in decided[unit.number])
        for unit in prefix
    }


def _check_repeat(decision: Decision, kept: NearDuplicates) -> Decision:
    if not decision.accepted or not decision.signature:
        return decision
    twin = kept.add(decision.index, decision.signature)
    if twin is None:
        return decision
    return replace(
        decision, outcome=Outcome.REJECTED, reason=RejectionReason.NEAR_DUPLICATE, twin=twin
    )
