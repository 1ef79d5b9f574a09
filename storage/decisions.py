"""Where each sample of a settled unit ended, over stages, rounds and the near-duplicate gate.

As columns over all samples of the plan. Legend: N samples, U units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.errors import DamagedObject
from storage.near_duplicates import FindTwins, Twin, parse_signatures
from storage.records import Outcome, RejectionReason, Stage
from storage.rounds import Rounds
from storage.settled import NO_REASON, OUTCOMES, REASONS, OutcomeColumns, SettledRecords
from storage.units import Unit

StageRecords = Mapping[Stage, SettledRecords]
STAGES = tuple(Stage)
ACCEPTED = OUTCOMES.index(Outcome.ACCEPTED)
REJECTED = OUTCOMES.index(Outcome.REJECTED)
QUARANTINED = OUTCOMES.index(Outcome.QUARANTINED)
_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Decision:
    """Where one sample of a settled unit ended.

    Attributes:
        stage: The stage that decided: the one that said no, or the last.
        reason: None exactly when accepted.
        twin: The kept sample it nearly repeats, for a near-duplicate.
        round_number: The round it ended in; 1 without a judge.
    """

    index: int
    unit: int
    stage: Stage
    outcome: Outcome
    reason: RejectionReason | None
    twin: Twin | None = None
    round_number: int = 1

    @property
    def accepted(self) -> bool:
        """True when every stage kept it."""
        return self.outcome is Outcome.ACCEPTED


@dataclass(frozen=True, eq=False, slots=True)
class Decisions:
    """Where every sample ended; of samples in open units nothing is decided yet.

    Attributes:
        start_U: First index of each unit; the units follow each other without gaps.
        unit_N: Unit of each sample.
        settled_U: Whether the unit has all its records.
        round_U: Round the unit is in, or ended in.
        stage_N: int8, position in `STAGES` of the stage that decided.
        outcome_N: int8, position in `OUTCOMES`.
        reason_N: int8, position in `REASONS`, -1 for none.
        round_N: Round the sample ended in.
        signature_N: Position in `signatures` of its last image's; -1 without one.
        signatures: Of all records.
        twins: Index of a near-duplicate → the kept sample it nearly repeats.
    """

    start_U: NDArray[np.int64]
    unit_N: NDArray[np.int64]
    settled_U: NDArray[np.bool_]
    round_U: NDArray[np.int64]
    stage_N: NDArray[np.int8]
    outcome_N: NDArray[np.int8]
    reason_N: NDArray[np.int8]
    round_N: NDArray[np.int16]
    signature_N: NDArray[np.int64]
    signatures: pa.ChunkedArray
    twins: Mapping[int, Twin] = field(default_factory=dict)

    @property
    def num_first(self) -> int:
        """Units before the first open one."""
        return len(self.settled_U) if self.settled_U.all() else int(self.settled_U.argmin())

    @property
    def decided(self) -> NDArray[np.bool_]:
        """Bool (N,): whether the sample's unit is settled."""
        return self.settled_U[self.unit_N]

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Bool (N,): whether every stage kept the sample, and that is final."""
        kept: NDArray[np.bool_] = self.decided & (self.outcome_N == ACCEPTED)
        return kept

    def per_unit(self, samples_N: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of these samples each unit has."""
        return np.add.reduceat(samples_N.astype(np.int64), self.start_U)

    def decision(self, index: int) -> Decision:
        """The decision on a sample of a settled unit."""
        reason = int(self.reason_N[index])
        return Decision(
            index=index,
            unit=int(self.unit_N[index]),
            stage=STAGES[self.stage_N[index]],
            outcome=OUTCOMES[self.outcome_N[index]],
            reason=None if reason == NO_REASON else REASONS[reason],
            twin=self.twins.get(index),
            round_number=int(self.round_N[index]),
        )


def decide(units: Sequence[Unit], records: StageRecords, rounds: Rounds) -> Decisions:
    """Where every sample of every settled unit ended, and the round that each open unit is in.

    A sample passes the stages in order and ends where one says no. What the judge refuses is
    painted and judged again, until the rounds are used up.

    Raises:
        DamagedObject: If a record lacks the outcome of a sample it must have settled.
    """
    decisions = _undecided(units, records)
    waiting_N = np.ones(len(decisions.unit_N), bool)
    for round_number in rounds.all:
        first_signature = 0
        for stage, settled in records.items():
            if round_number == 1 or stage is not Stage.WRITE:  # what is written is painted again
                _pass(decisions, waiting_N, stage, settled, round_number, first_signature)
            first_signature += len(settled.outcomes.signatures)
        judged_N = decisions.stage_N == STAGES.index(Stage.JUDGE)
        refused_N = judged_N & (decisions.outcome_N == REJECTED)
        waiting_N = refused_N & (decisions.round_N == round_number) & decisions.decided
        if not waiting_N.any():
            break
    return decisions


def _undecided(units: Sequence[Unit], records: StageRecords) -> Decisions:
    num_units, num_samples = len(units), units[-1].stop
    signatures = [settled.outcomes.signatures for settled in records.values()]
    return Decisions(
        start_U=np.array([unit.start for unit in units], np.int64),
        unit_N=np.repeat(np.arange(num_units), [unit.num_samples for unit in units]),
        settled_U=np.ones(num_units, bool),
        round_U=np.ones(num_units, np.int64),
        stage_N=np.full(num_samples, _NOWHERE, np.int8),
        outcome_N=np.full(num_samples, _NOWHERE, np.int8),
        reason_N=np.full(num_samples, NO_REASON, np.int8),
        round_N=np.ones(num_samples, np.int16),
        signature_N=np.full(num_samples, _NOWHERE, np.int64),
        signatures=pa.chunked_array(
            [part for one in signatures for part in one.chunks], pa.string()
        ),
    )


def _pass(
    decisions: Decisions,
    waiting_N: NDArray[np.bool_],
    stage: Stage,
    settled: SettledRecords,
    round_number: int,
    first_signature: int,
) -> None:
    """Let the waiting samples pass one stage of a round, in place; those it refuses wait no more.

    A unit with waiting samples and without this record is open from here on.
    """
    num_units = len(decisions.settled_U)
    first = (round_number - 1) * num_units  # as `Rounds.number` counts
    has_record_U = np.zeros(num_units, bool)
    numbers = settled.units - first
    has_record_U[numbers[(numbers >= 0) & (numbers < num_units)]] = True
    owes_U = (decisions.per_unit(waiting_N) > 0) & ~has_record_U
    decisions.settled_U[owes_U] = False
    decisions.round_U[decisions.per_unit(waiting_N) > 0] = round_number
    waiting_N[owes_U[decisions.unit_N]] = False

    outcomes = settled.outcomes
    rows = _rows_of(outcomes, decisions, waiting_N, first)
    index = outcomes.index_N[rows]
    _require_all(decisions, waiting_N, index, stage, first)
    decisions.stage_N[index] = STAGES.index(stage)
    decisions.outcome_N[index] = outcomes.outcome_N[rows]
    decisions.reason_N[index] = outcomes.reason_N[rows]
    decisions.round_N[index] = round_number
    has_image = pc.greater(pc.binary_length(outcomes.signatures), 0).to_numpy()[rows]
    decisions.signature_N[index[has_image]] = first_signature + rows[has_image]
    waiting_N[index] = outcomes.outcome_N[rows] == ACCEPTED


def _rows_of(
    outcomes: OutcomeColumns, decisions: Decisions, waiting_N: NDArray[np.bool_], first: int
) -> NDArray[np.intp]:
    """Rows on waiting samples, from the records of their unit's round."""
    num_samples, index = len(waiting_N), outcomes.index_N
    known = np.flatnonzero((index >= 0) & (index < num_samples))
    own = decisions.unit_N[index[known]] == outcomes.number_N[known] - first
    rows: NDArray[np.intp] = known[own & waiting_N[index[known]]]
    return rows


def _require_all(
    decisions: Decisions,
    waiting_N: NDArray[np.bool_],
    found: NDArray[np.int64],
    stage: Stage,
    first: int,
) -> None:
    """Refuse a record without the outcome of a sample that reached its stage."""
    lacking_N = waiting_N.copy()
    lacking_N[found] = False
    if not lacking_N.any():
        return
    unit = int(decisions.unit_N[lacking_N.argmax()])
    missing = np.flatnonzero(lacking_N & (decisions.unit_N == unit)).tolist()
    raise DamagedObject(
        f"ledger record of unit {first + unit}, stage {stage}: expected the outcome of every "
        f"sample, got none for {missing[:5]}; the plan or the record was changed"
    )


def without_near_duplicates(decisions: Decisions, max_distance: int, find: FindTwins) -> Decisions:
    """The decisions after the gate that compares samples in index order, over the first units.

    Units from the first open one on are left as they are: they wait for it.

    Args:
        decisions: Of all stages.
        max_distance: Bits of 256.
        find: What compares them.
    """
    compared_N = decisions.accepted & (decisions.signature_N != _NOWHERE)
    compared_N &= decisions.unit_N < decisions.num_first
    index = np.flatnonzero(compared_N)
    signatures = decisions.signatures.take(pa.array(decisions.signature_N[index]))
    twins = find(parse_signatures(signatures), index, max_distance)
    repeats = np.fromiter(twins, np.int64, len(twins))
    outcome_N, reason_N = decisions.outcome_N.copy(), decisions.reason_N.copy()
    outcome_N[repeats] = REJECTED
    reason_N[repeats] = REASONS.index(RejectionReason.NEAR_DUPLICATE)
    return replace(decisions, outcome_N=outcome_N, reason_N=reason_N, twins=twins)
