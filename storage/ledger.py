"""The ledger: one write-once record per settled unit of a stage; failures are kept beside it.

The first record wins and is never rewritten or deleted, whoever else finishes later.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime

from storage.digests import is_digest, read_digest, write_digest
from storage.errors import StoreUnavailable
from storage.identity import canonical_json
from storage.layout import DatasetLayout, folder_number_of, number_of
from storage.ledger_records import FailureRecord, LedgerRecord, SampleOutcome
from storage.objects import ObjectStore
from storage.records import Stage
from storage.settled import NO_RECORDS, SettledRecords

__all__ = ["FailureRecord", "Ledger", "LedgerRecord", "SampleOutcome"]  # what a ledger speaks of

RETRY_DELAYS_SECONDS = (0.1, 0.3, 1.0, 3.0)  # beyond what the store itself retries
DIGEST_RECORDS = (8, 1024)  # fewest: fewer are read as fast one by one; most: bounds memory
_READERS = 16
_MAX_ERROR_CHARS = 2000


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
        self._known: dict[tuple[Stage, int], LedgerRecord] = {}  # settled or read one by one
        self._settled: dict[Stage, SettledRecords] = {}  # read all together
        self._digests: dict[Stage, set[str]] = defaultdict(set)  # keys of those read or written
        self._digested: dict[Stage, set[int]] = defaultdict(set)  # units that those hold

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
        return known or self._settled.get(stage, NO_RECORDS).get(unit) or self._read(stage, unit)

    def settled_units(self, stage: Stage) -> set[int]:
        """Units that have a record, by listing alone."""
        units, _ = self._list(stage)
        return units

    def settled(self, stage: Stage) -> SettledRecords:
        """Every record of a stage, in order of unit; only those not seen before are read.

        Which units are settled is what is listed, and nothing else. What their records say is
        read from digests where that takes no more requests than reading them one by one.
        """
        units, digests = self._list(stage)
        settled = self._settled.get(stage, NO_RECORDS)
        unread = digests - self._digests[stage]
        missing = units.difference(settled)
        with ThreadPoolExecutor(_READERS) as readers:
            if len(unread) <= len(missing):
                found = list(readers.map(lambda key: read_digest(self._store, key), unread))
                settled = settled.joined(found)
                self._remember(stage, unread, found)
                missing = units.difference(settled)
            if missing:
                records = readers.map(lambda unit: self.record(stage, unit), sorted(missing))
                settled = settled.joined([SettledRecords.of(records)])
        self._settled[stage] = settled
        for unit in missing:
            self._known.pop((stage, unit), None)
        return settled.among(units)

    def write_digest(self, stage: Stage) -> None:
        """Put down together the records that this ledger knows and that it saw in no digest.

        Then whoever comes next reads them all at once. Nothing depends on its being done.
        """
        fewest, most = DIGEST_RECORDS
        mine = [one for (of, _), one in list(self._known.items()) if of is stage]
        known = self._settled.get(stage, NO_RECORDS).joined([SettledRecords.of(mine)])
        units = sorted(set(known) - self._digested[stage])
        if len(units) < fewest:
            return
        for first in range(0, len(units), most):
            part = known.among(units[first : first + most])
            key = write_digest(self._store, self._layout, stage, part)
            self._remember(stage, [key], [part])

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
            FailureRecord.from_json(self._store.get(info.key), self._store.uri(info.key))
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

    def _list(self, stage: Stage) -> tuple[set[int], set[str]]:
        """Units that have a record, and the keys of digests."""
        units: set[int] = set()
        digests: set[str] = set()
        for info in self._store.list(self._layout.ledger_folder(stage)):
            if is_digest(self._layout, stage, info.key):
                digests.add(info.key)
            elif (unit := number_of(info.key)) is not None:
                units.add(unit)
        return units, digests

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

    def _remember(
        self, stage: Stage, keys: Iterable[str], digests: Iterable[SettledRecords]
    ) -> None:
        self._digests[stage].update(keys)
        for records in digests:
            self._digested[stage].update(records)
