"""The ledger: one write-once record per settled unit of a stage; failures are kept beside it.

The first record wins and is never rewritten or deleted, whoever else finishes later.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from storage.errors import DamagedObject, StoreUnavailable
from storage.identity import canonical_json
from storage.json_files import parse_json
from storage.layout import DatasetLayout, folder_number_of, number_of
from storage.objects import ObjectStore
from storage.records import Outcome, RejectionReason, Stage
from storage.staging import StagedFile

RETRY_DELAYS_SECONDS = (0.1, 0.3, 1.0, 3.0)  # beyond what the store itself retries
_READERS = 16
_MAX_ERROR_CHARS = 2000


@dataclass(frozen=True, slots=True)
class SampleOutcome:
    """How one sample of a unit left a stage.

    Attributes:
        reason: None exactly when accepted.
        signature: 256-bit perceptual hash as 64 hex digits; empty where there is no image.
    """

    index: int
    outcome: Outcome
    reason: RejectionReason | None
    signature: str = ""


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """What stands of a settled unit.

    Attributes:
        attempt: Id of the execution that settled it.
        file: Key of its staged file, relative to the root.
        num_bytes: Size of that file.
        sha256: Hash of its bytes, 64 hex digits.
        outcomes: Of every sample that reached the stage, in order of index.
        worker: Host and process that settled it.
        started_at: When the attempt began, seconds since the epoch.
        settled_at: When it was recorded, seconds since the epoch.
        engine_seconds: Engine time of all samples and tries of the attempt.
    """

    stage: Stage
    unit: int
    attempt: str
    file: str
    num_bytes: int
    sha256: str
    outcomes: tuple[SampleOutcome, ...]
    worker: str = ""
    started_at: float = 0.0
    settled_at: float = 0.0
    engine_seconds: float = 0.0

    @property
    def staged(self) -> StagedFile:
        """The staged file it names."""
        return StagedFile(self.file, self.num_bytes, self.sha256)

    def to_json(self) -> bytes:
        """Canonical JSON: the same record, the same bytes."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "LedgerRecord":
        """The record; raises DamagedObject naming `where` if these bytes are none."""
        fields = parse_json(data, where)
        try:
            outcomes = tuple(_outcome(one) for one in fields.pop("outcomes"))
            return cls(**fields | {"stage": Stage(fields["stage"]), "outcomes": outcomes})
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedObject(f"{where}: expected a ledger record, got {error!r}") from error


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """One failed attempt at a unit. `error` is the exception's type; `at` is UTC, ISO 8601."""

    stage: Stage
    unit: int
    attempt: str
    error: str
    message: str
    at: str


class Ledger:
    """The ledger of one dataset. Standing records never change, so those read are remembered."""

    def __init__(
        self,
        store: ObjectStore,
        layout: DatasetLayout,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._layout = layout
        self._sleep = sleep
        self._known: dict[tuple[Stage, int], LedgerRecord] = {}

    def settle(self, record: LedgerRecord) -> LedgerRecord:
        """Put the record if the unit has none; returns the record that stands, mine or the first.

        After a lost answer the put is tried again and refused; the record read back then carries
        my own attempt, so I won. Nothing is ever deleted on loss: what looks like a loss may be
        that lost answer.

        Raises:
            StoreUnavailable: If no try got a clear answer; the same call may go through later.
        """
        key = self._layout.ledger_record(record.stage, record.unit)
        data = record.to_json()
        for delay in RETRY_DELAYS_SECONDS:
            try:
                return self._put_or_read(key, data, record)
            except StoreUnavailable:
                self._sleep(delay)
        return self._put_or_read(key, data, record)

    def record(self, stage: Stage, unit: int) -> LedgerRecord:
        """The record of a settled unit; raises ObjectMissing when it is not settled."""
        known = self._known.get((stage, unit))
        return known or self._read(stage, unit)

    def settled_units(self, stage: Stage) -> set[int]:
        """Units that have a record, by listing alone."""
        listed = self._store.list(self._layout.ledger_folder(stage))
        return {unit for info in listed if (unit := number_of(info.key)) is not None}

    def settled(self, stage: Stage) -> dict[int, LedgerRecord]:
        """Every record of a stage, in order of unit; only those not seen before are read."""
        units = sorted(self.settled_units(stage))
        with ThreadPoolExecutor(_READERS) as readers:
            records = readers.map(lambda unit: self.record(stage, unit), units)
            return dict(zip(units, records, strict=True))

    def record_failure(
        self, stage: Stage, unit: int, attempt: str, error: BaseException
    ) -> FailureRecord:
        """Keep why an attempt failed, beside the ledger."""
        failure = FailureRecord(
            stage=stage,
            unit=unit,
            attempt=attempt,
            error=type(error).__name__,
            message=str(error)[:_MAX_ERROR_CHARS],
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        key = self._layout.failure(stage, unit, attempt)
        self._store.put(key, canonical_json(asdict(failure)))
        return failure

    def failures(self, stage: Stage, unit: int) -> list[FailureRecord]:
        """The failed attempts at a unit, oldest first."""
        listed = list(self._store.list(self._layout.failures_folder(stage, unit)))
        found = [
            _failure(parse_json(self._store.get(info.key), self._store.uri(info.key)))
            for info in listed
        ]
        return sorted(found, key=lambda failure: (failure.at, failure.attempt))

    def num_failures(self, stage: Stage) -> dict[int, int]:
        """Failed attempts per unit of a stage, by listing alone; units without any are absent."""
        counts: dict[int, int] = {}
        for info in self._store.list(self._layout.failures_folder(stage)):
            unit = folder_number_of(info.key)
            if unit is not None:
                counts[unit] = counts.get(unit, 0) + 1
        return counts

    def _put_or_read(self, key: str, data: bytes, record: LedgerRecord) -> LedgerRecord:
        if self._store.put_if_absent(key, data):
            self._known[record.stage, record.unit] = record
            return record
        return self._read(record.stage, record.unit)

    def _read(self, stage: Stage, unit: int) -> LedgerRecord:
        key = self._layout.ledger_record(stage, unit)
        found = LedgerRecord.from_json(self._store.get(key), self._store.uri(key))
        self._known[stage, unit] = found
        return found


def _outcome(fields: dict[str, Any]) -> SampleOutcome:
    reason = fields["reason"]
    return SampleOutcome(
        index=fields["index"],
        outcome=Outcome(fields["outcome"]),
        reason=None if reason is None else RejectionReason(reason),
        signature=fields["signature"],
    )


def _failure(fields: dict[str, Any]) -> FailureRecord:
    return FailureRecord(**fields | {"stage": Stage(fields["stage"])})
