from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import DamagedObject, EngineFailed, ObjectMissing, StoreUnavailable
from storage.ledger import RETRY_DELAYS_SECONDS, Ledger, LedgerRecord, SampleOutcome
from storage.objects import LocalStore
from storage.records import Outcome, RejectionReason, Stage
from storage.settled import NO_REASON, OUTCOMES, REASONS, SettledRecords
from tests.storage.made import LAYOUT, record

_OUTCOME = SampleOutcome(0, Outcome.ACCEPTED, None, "ab" * 32)
_MINE = record(Stage.PAINT, 3, (_OUTCOME,), "mine")
_THEIRS = record(Stage.PAINT, 3, (_OUTCOME,), "theirs")


class _Unclear(LocalStore):
    """Answers a put with a time-out as often as told, after doing it or not."""

    def __init__(self, root: str, num_unclear: int, lands: bool) -> None:
        super().__init__(root)
        self.num_unclear = num_unclear
        self.lands = lands
        self.deleted: list[str] = []

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if self.num_unclear == 0:
            return super().put_if_absent(key, data)
        self.num_unclear -= 1
        if self.lands:
            super().put_if_absent(key, data)
        raise StoreUnavailable("time-out")

    def delete(self, key: str) -> None:
        self.deleted.append(key)
        super().delete(key)


def _no_sleep(_: float) -> None:
    return


@given(
    st.lists(
        st.builds(
            SampleOutcome,
            st.integers(0, 2**40),
            st.sampled_from(Outcome),
            st.none() | st.sampled_from(RejectionReason),
            st.text(max_size=64),
        )
    )
)
@settings(derandomize=True, deadline=None)
def test_record_json_round_trips(outcomes: list[SampleOutcome]) -> None:
    one = record(Stage.WRITE, 5, tuple(outcomes))
    assert LedgerRecord.from_json(one.to_json(), "here") == one


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"outcomes": [{}]}', b"\xff"])
def test_record_from_other_json_names_the_file(data: bytes) -> None:
    with pytest.raises(DamagedObject, match=r"ledger/here\.json"):
        LedgerRecord.from_json(data, "ledger/here.json")


def test_settle_first_record_stands(store: LocalStore) -> None:
    assert Ledger(store, LAYOUT).settle(_THEIRS) == _THEIRS
    assert Ledger(store, LAYOUT).settle(_MINE) == _THEIRS
    assert Ledger(store, LAYOUT).record(Stage.PAINT, 3) == _THEIRS


def test_settle_twenty_attempts_agree_on_one(store: LocalStore) -> None:
    attempts = [record(Stage.PAINT, 3, (), f"a{number}") for number in range(20)]
    with ThreadPoolExecutor(20) as workers:
        stand = set(workers.map(lambda one: Ledger(store, LAYOUT).settle(one), attempts))
    assert len(stand) == 1
    assert stand == {Ledger(store, LAYOUT).record(Stage.PAINT, 3)}


def test_settle_lost_answer_finds_itself_the_winner(store: LocalStore) -> None:
    unclear = _Unclear(store.root, num_unclear=1, lands=True)
    assert Ledger(unclear, LAYOUT, _no_sleep).settle(_MINE) == _MINE
    assert Ledger(store, LAYOUT).record(Stage.PAINT, 3) == _MINE
    assert unclear.deleted == []


def test_settle_lost_request_is_tried_again(store: LocalStore) -> None:
    unclear = _Unclear(store.root, num_unclear=2, lands=False)
    assert Ledger(unclear, LAYOUT, _no_sleep).settle(_MINE) == _MINE


def test_settle_unclear_then_refused_returns_the_other(store: LocalStore) -> None:
    Ledger(store, LAYOUT).settle(_THEIRS)
    unclear = _Unclear(store.root, num_unclear=1, lands=True)
    assert Ledger(unclear, LAYOUT, _no_sleep).settle(_MINE) == _THEIRS
    assert unclear.deleted == []


def test_settle_never_clear_gives_up_and_deletes_nothing(store: LocalStore) -> None:
    waits: list[float] = []
    unclear = _Unclear(store.root, num_unclear=99, lands=True)
    with pytest.raises(StoreUnavailable):
        Ledger(unclear, LAYOUT, waits.append).settle(_MINE)
    assert tuple(waits) == RETRY_DELAYS_SECONDS
    assert unclear.deleted == []
    assert Ledger(store, LAYOUT).record(Stage.PAINT, 3) == _MINE


def test_settled_lists_each_stage_by_unit(store: LocalStore, ledger: Ledger) -> None:
    for unit in (10, 2, 0):
        ledger.settle(record(Stage.WRITE, unit, ()))
    ledger.settle(record(Stage.PAINT, 1, ()))
    fresh = Ledger(store, LAYOUT)
    assert fresh.settled_units(Stage.WRITE) == {0, 2, 10}
    assert list(fresh.settled(Stage.WRITE)) == [0, 2, 10]
    assert fresh.settled(Stage.WRITE)[10].unit == 10
    assert fresh.settled(Stage.JUDGE) == {}


def test_settled_again_reads_only_what_is_new(
    store: LocalStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.settle(record(Stage.WRITE, 0, ()))
    reader = Ledger(store, LAYOUT)
    reader.settled(Stage.WRITE)
    ledger.settle(record(Stage.WRITE, 1, ()))
    read: list[str] = []
    get: Callable[[str], bytes] = store.get

    def counted(key: str) -> bytes:
        read.append(key)
        return get(key)

    monkeypatch.setattr(store, "get", counted)
    assert set(reader.settled(Stage.WRITE)) == {0, 1}
    assert read == [LAYOUT.ledger_record(Stage.WRITE, 1)]


def test_record_of_an_open_unit_is_missing(ledger: Ledger) -> None:
    with pytest.raises(ObjectMissing):
        ledger.record(Stage.WRITE, 0)


def test_failures_are_kept_beside_the_ledger(ledger: Ledger) -> None:
    ledger.record_failure(Stage.PAINT, 2, "a1", EngineFailed("hung after 60 s"))
    ledger.record_failure(Stage.PAINT, 2, "a2", MemoryError("x" * 9000))
    ledger.record_failure(Stage.PAINT, 12, "a1", EngineFailed("again"))
    first, second = ledger.failures(Stage.PAINT, 2)
    assert (first.attempt, first.error, first.message) == ("a1", "EngineFailed", "hung after 60 s")
    assert len(second.message) == 2000
    assert ledger.num_failures(Stage.PAINT) == {2: 2, 12: 1}
    assert ledger.settled_units(Stage.PAINT) == set()


def test_settled_units_passes_over_files_that_are_no_records(
    store: LocalStore, ledger: Ledger
) -> None:
    ledger.settle(record(Stage.WRITE, 4, ()))
    store.put(LAYOUT.ledger_folder(Stage.WRITE) + ".DS_Store", b"")
    assert ledger.settled_units(Stage.WRITE) == {4}


def _outcomes(unit: int) -> tuple[SampleOutcome, ...]:
    reasons = [None, RejectionReason.CONSTANT, RejectionReason.ENGINE_FAILED]
    kinds = list(zip(Outcome, reasons, strict=True))
    return tuple(
        SampleOutcome(4 * unit + place, *kinds[(unit + place) % 3], f"{unit:064x}")
        for place in range(unit % 5)
    )


def _settle_units(ledger: Ledger, units: Iterable[int]) -> dict[int, LedgerRecord]:
    return {
        unit: ledger.settle(record(Stage.PAINT, unit, _outcomes(unit), f"a{unit}"))
        for unit in units
    }


class _Counting(LocalStore):
    """Remembers what was read."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.read: list[str] = []

    def get(self, key: str) -> bytes:
        self.read.append(key.rpartition(".")[2])
        return super().get(key)


def test_digests_give_every_record_in_few_reads(store: LocalStore) -> None:
    """Two shards settle 40 units each, and one more is settled by nobody's shard."""
    shards = [Ledger(store, LAYOUT) for _ in range(2)]
    stand = _settle_units(shards[0], range(0, 80, 2)) | _settle_units(shards[1], range(1, 80, 2))
    for shard in shards:
        shard.write_digest(Stage.PAINT)
        shard.write_digest(Stage.PAINT)
    stand |= _settle_units(Ledger(store, LAYOUT), [200])
    reading = _Counting(store.root)
    fresh = Ledger(reading, LAYOUT)
    settled = fresh.settled(Stage.PAINT)
    assert dict(settled) == dict(sorted(stand.items()))
    assert list(settled.values()) == [stand[unit] for unit in sorted(stand)]
    assert sorted(reading.read) == ["arrow", "arrow", "json"]
    assert fresh.record(Stage.PAINT, 33) == stand[33]
    assert fresh.settled(Stage.PAINT).files() == {u: one.file for u, one in stand.items()}
    assert len(reading.read) == 3


def test_digests_may_overlap_race_and_vanish(store: LocalStore) -> None:
    stand = _settle_units(Ledger(store, LAYOUT), range(30))
    ledgers = [Ledger(store, LAYOUT) for _ in range(6)]
    for ledger in ledgers:
        ledger.settled(Stage.PAINT)
    _settle_units(ledgers[0], range(30, 40))
    stand |= ledgers[0].settled(Stage.PAINT)
    with ThreadPoolExecutor(6) as writers:
        list(writers.map(lambda one: one.write_digest(Stage.PAINT), ledgers))
    digests = [info.key for info in store.list(LAYOUT.digests_folder(Stage.PAINT))]
    assert len(digests) == 2, "five wrote the same"
    assert dict(Ledger(store, LAYOUT).settled(Stage.PAINT)) == stand
    for key in digests:
        store.delete(key)
    assert dict(Ledger(store, LAYOUT).settled(Stage.PAINT)) == stand


def test_what_is_settled_is_what_is_listed_whatever_a_digest_says(store: LocalStore) -> None:
    ledger = Ledger(store, LAYOUT)
    _settle_units(ledger, range(20))
    ledger.write_digest(Stage.PAINT)
    store.delete(LAYOUT.ledger_record(Stage.PAINT, 7))
    fresh = Ledger(store, LAYOUT)
    assert set(fresh.settled(Stage.PAINT)) == fresh.settled_units(Stage.PAINT) == {*range(20)} - {7}


def test_digest_that_was_changed_is_refused_and_says_what_to_do(store: LocalStore) -> None:
    ledger = Ledger(store, LAYOUT)
    _settle_units(ledger, range(20))
    ledger.write_digest(Stage.PAINT)
    (digest,) = store.list(LAYOUT.digests_folder(Stage.PAINT))
    store.put(digest.key, store.get(digest.key)[:-1] + b"x")
    with pytest.raises(DamagedObject, match=r"digests/.*\.arrow: expected bytes .* delete it"):
        Ledger(store, LAYOUT).settled(Stage.PAINT)


def test_digest_of_a_version_with_other_columns_is_passed_over(store: LocalStore) -> None:
    ledger = Ledger(store, LAYOUT)
    stand = _settle_units(ledger, range(20))
    store.put(LAYOUT.digest(Stage.PAINT, "other", "0" * 64), b"of another version")
    ledger.write_digest(Stage.PAINT)
    reading = _Counting(store.root)
    assert dict(Ledger(reading, LAYOUT).settled(Stage.PAINT)) == stand
    assert reading.read == ["arrow"]


def test_few_records_are_put_in_no_digest(store: LocalStore) -> None:
    ledger = Ledger(store, LAYOUT)
    _settle_units(ledger, range(3))
    ledger.write_digest(Stage.PAINT)
    assert list(store.list(LAYOUT.digests_folder(Stage.PAINT))) == []


@given(
    st.dictionaries(
        st.integers(0, 99),
        st.lists(
            st.builds(
                SampleOutcome,
                st.integers(0, 2**40),
                st.sampled_from(Outcome),
                st.none() | st.sampled_from(RejectionReason),
                st.text(max_size=64),
            )
        ),
    )
)
def test_settled_records_as_columns_round_trip(outcomes: dict[int, list[SampleOutcome]]) -> None:
    records = {unit: record(Stage.WRITE, unit, tuple(of)) for unit, of in outcomes.items()}
    settled = SettledRecords.of(records.values())
    assert list(settled) == sorted(records)
    assert dict(settled) == records
    columns = settled.outcomes
    flat = [(unit, one) for unit in sorted(records) for one in records[unit].outcomes]
    assert columns.number_N.tolist() == [unit for unit, _ in flat]
    assert columns.index_N.tolist() == [one.index for _, one in flat]
    assert [OUTCOMES[code] for code in columns.outcome_N] == [one.outcome for _, one in flat]
    reasons = [None if code == NO_REASON else REASONS[code] for code in columns.reason_N]
    assert reasons == [one.reason for _, one in flat]
    assert columns.signatures.to_pylist() == [one.signature for _, one in flat]
