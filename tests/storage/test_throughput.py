"""Pace of a stage out of its ledger records."""

import pytest

from storage.ledger_records import LedgerRecord, SampleOutcome
from storage.records import Outcome, Stage
from storage.settled import NO_RECORDS, SettledRecords
from storage.throughput import throughput, throughput_by_worker


def record(unit: int, started_at: float, settled_at: float, worker: str) -> LedgerRecord:
    outcomes = tuple(SampleOutcome(4 * unit + i, Outcome.ACCEPTED, None) for i in range(4))
    attempt, file, sha256 = f"1-{unit}", f"staging/{unit}.arrow", "0" * 64
    return LedgerRecord(
        *(Stage.PAINT, unit, attempt, file, 1, sha256, outcomes, worker),
        started_at=started_at,
        settled_at=settled_at,
        engine_seconds=2.5,
        num_tokens=100,
    )


RECORDS = SettledRecords.of(
    [
        record(0, 100.0, 110.0, "one GPU 0:11"),
        record(1, 105.0, 108.0, "one GPU 1:12"),  # within the first
        record(2, 109.0, 112.0, "one GPU 0:13"),  # overlaps the first
        record(3, 200.0, 202.0, "two CPU:14"),  # after a pause
    ]
)


def test_throughput_counts_time_in_which_anything_ran_once() -> None:
    found = throughput(RECORDS)
    assert (found.num_units, found.num_samples, found.engine_seconds) == (4, 16, 10.0)
    assert found.num_tokens == 400
    assert found.busy_seconds == pytest.approx(14.0)
    assert found.samples_per_second == pytest.approx(16 / 14)
    assert found.last_settled_at == 202.0
    assert found.seconds_for(8) == pytest.approx(28.0)
    assert found.seconds_for(0) == 0.0


def test_throughput_by_worker_joins_the_processes_of_a_device() -> None:
    found = throughput_by_worker(RECORDS)
    assert list(found) == ["one GPU 0", "one GPU 1", "two CPU"]
    assert [one.num_units for one in found.values()] == [2, 1, 1]
    assert found["one GPU 0"].busy_seconds == pytest.approx(12.0)


def test_throughput_of_nothing_promises_no_end() -> None:
    found = throughput(NO_RECORDS)
    assert (found.num_samples, found.samples_per_second, found.seconds_for(3)) == (0, 0.0, None)
    assert throughput_by_worker(NO_RECORDS) == {}
