"""Where each sample of a settled unit ended, over all stages and the near-duplicate gate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from storage.errors import DamagedObject
from storage.ledger import LedgerRecord, SampleOutcome
from storage.near_duplicates import NearDuplicates, Twin
from storage.records import Outcome, RejectionReason, Stage
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
    """

    index: int
    unit: int
    stage: Stage
    outcome: Outcome
    reason: RejectionReason | None
    twin: Twin | None = None

    @property
    def accepted(self) -> bool:
        """True when every stage kept it."""
        return self.outcome is Outcome.ACCEPTED


def decide_unit(unit: Unit, records: StageRecords) -> Decisions | None:
    """The decision on every sample of the unit; None while a stage owes its record.

    Raises:
        DamagedObject: If a record lacks the outcome of a sample it must have settled.
    """
    open_indices = set(unit.indices)
    decisions: dict[int, Decision] = {}
    for stage, of_stage in records.items():
        if not open_indices:
            break
        if unit.number not in of_stage:
            return None
        for outcome in _outcomes(of_stage[unit.number], open_indices):
            decisions[outcome.index] = Decision(
                outcome.index, unit.number, stage, outcome.outcome, outcome.reason
            )
        open_indices = {index for index in open_indices if decisions[index].accepted}
    return tuple(decisions[index] for index in unit.indices)


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
    decided: Mapping[int, Decisions],
    prefix: Sequence[Unit],
    records: StageRecords,
    max_distance: int,
) -> dict[int, Decisions]:
    """The prefix's decisions after the gate that compares samples in index order."""
    kept = NearDuplicates(max_distance)
    return {
        unit.number: tuple(
            _check_repeat(decision, signatures.get(decision.index, ""), kept)
            for decision in decided[unit.number]
        )
        for unit in prefix
        for signatures in [_signatures(unit, records)]
    }


def _signatures(unit: Unit, records: StageRecords) -> dict[int, str]:
    """Perceptual hash per sample, from the last stage that made an image."""
    return {
        outcome.index: outcome.signature
        for of_stage in records.values()
        if unit.number in of_stage
        for outcome in of_stage[unit.number].outcomes
        if outcome.signature
    }


def _check_repeat(decision: Decision, signature: str, kept: NearDuplicates) -> Decision:
    if not decision.accepted or not signature:
        return decision
    twin = kept.add(decision.index, signature)
    if twin is None:
        return decision
    return replace(
        decision, outcome=Outcome.REJECTED, reason=RejectionReason.NEAR_DUPLICATE, twin=twin
    )
