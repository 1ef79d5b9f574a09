"""Rounds: what the judge sends back is painted and judged again, in units of its own."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.dataset import Dataset
from storage.errors import ObjectMissing
from storage.garbage import collect_dataset
from storage.layout import Table
from storage.ledger import Ledger, LedgerRecord, SampleOutcome
from storage.objects import LocalStore
from storage.publication import PUBLISHED, publish_table
from storage.records import ImageRow, Outcome, RejectionReason, Stage
from storage.releases import create_release, open_table
from storage.rounds import Rounds, unjudged, unpainted, unwritten
from storage.samples import publish_samples
from storage.selection import Selection, SelectionRules, select
from storage.settled import SettledRecords
from storage.staging import read_staged
from storage.units import Unit, partition
from tests.storage.made import (
    LAYOUT,
    LINEAGE,
    UNIT_SIZE,
    image_row,
    judge_row,
    planned_samples,
    png,
    quarantined_row,
    record,
    report_row,
    settle,
    signature,
)

STAGES = (Stage.WRITE, Stage.PAINT, Stage.JUDGE)
BLURRED = RejectionReason.POOR_QUALITY
Records = dict[Stage, dict[int, LedgerRecord]]


def _record(stage: Stage, number: int, letters: Mapping[int, str], image: int = 0) -> LedgerRecord:
    """Letters: a accepted, r refused, q quarantined. `image` tells rounds' images apart."""
    kinds = {"a": Outcome.ACCEPTED, "r": Outcome.REJECTED, "q": Outcome.QUARANTINED}
    reasons = {"a": None, "r": BLURRED, "q": RejectionReason.ENGINE_FAILED}
    return record(
        stage,
        number,
        tuple(
            SampleOutcome(
                index,
                kinds[letter],
                reasons[letter],
                signature(index + image) if stage is Stage.PAINT else "",
            )
            for index, letter in letters.items()
        ),
    )


def _one_unit(judged: Sequence[Mapping[int, str]], images: Sequence[int] = (0, 0, 0)) -> Records:
    """A unit of four, all written, painted in as many rounds as the judge sees."""
    records: Records = {stage: {} for stage in STAGES}
    records[Stage.WRITE][0] = _record(Stage.WRITE, 0, dict.fromkeys(range(4), "a"))
    for number, letters in enumerate(judged):
        painted = dict.fromkeys(letters, "a")
        records[Stage.PAINT][number] = _record(Stage.PAINT, number, painted, images[number])
        records[Stage.JUDGE][number] = _record(Stage.JUDGE, number, letters)
    return records


def _chosen(records: Records, max_rounds: int, distance: int | None = None) -> Selection:
    rules = SelectionRules(None, near_duplicate_max_distance=distance, max_rounds=max_rounds)
    settled = {stage: SettledRecords.of(of.values()) for stage, of in records.items()}
    return select([Unit(0, 0, 4)], settled, rules)


def test_numbers_of_rounds_are_never_shared() -> None:
    rounds = Rounds(num_units=7, max_rounds=3)
    numbers = [rounds.number(unit, each) for each in rounds.all for unit in range(7)]
    assert numbers == list(range(21))
    assert [rounds.unit_of(number) for number in numbers] == [*range(7)] * 3
    assert rounds.before(15) == 8
    assert rounds.numbers([2]) == {2, 9, 16}


def test_unit_with_images_sent_back_is_open_until_its_next_round_is_judged() -> None:
    first = {0: "a", 1: "r", 2: "a", 3: "q"}
    waiting = _chosen(_one_unit([first]), max_rounds=3)
    assert waiting.wanted_units == (0,)
    assert dict(waiting.round_of_unit) == {0: 2}
    assert waiting.published == {}
    done = _chosen(_one_unit([first, {1: "a"}]), max_rounds=3)
    assert dict(done.published) == {0: (0, 1, 2)}
    assert dict(done.round_of) == {1: 2}
    assert done.quarantined == (3,)
    assert done.complete


def test_what_the_last_round_refuses_is_rejected_with_the_judges_reason() -> None:
    judged = [{0: "a", 1: "r", 2: "r", 3: "a"}, {1: "r", 2: "a"}]
    done = _chosen(_one_unit(judged), max_rounds=2)
    assert dict(done.published) == {0: (0, 2, 3)}
    assert dict(done.rejected) == {BLURRED: 1}
    (refused,) = done.rejects[0]
    assert (refused.index, refused.stage, refused.round_number) == (1, Stage.JUDGE, 2)
    assert done.num_repainted == 2


def test_near_duplicates_are_sought_among_the_images_that_were_kept() -> None:
    """The image that index 0 lost in round 1 is that of index 1; it was never kept."""
    judged = [{0: "r", 1: "a", 2: "a", 3: "a"}, {0: "a"}]
    records = _one_unit(judged, images=(0, 100))
    twin = replace(records[Stage.PAINT][0].outcomes[0], signature=signature(1))
    outcomes = (twin, *records[Stage.PAINT][0].outcomes[1:])
    records[Stage.PAINT][0] = replace(records[Stage.PAINT][0], outcomes=outcomes)
    assert dict(_chosen(records, 2, distance=4).published) == {0: (0, 1, 2, 3)}


@settings(max_examples=200)
@given(
    fates=st.lists(st.text("ar", min_size=3, max_size=3), min_size=4, max_size=4),
    max_rounds=st.integers(1, 3),
    num_known=st.integers(0, 6),
)
def test_published_are_those_the_judge_ever_accepts_and_only_when_all_is_known(
    fates: list[str], max_rounds: int, num_known: int
) -> None:
    """Against the obvious reference; `num_known` records of the paint and judge stages stand."""
    records: Records = {stage: {} for stage in STAGES}
    records[Stage.WRITE][0] = _record(Stage.WRITE, 0, dict.fromkeys(range(4), "a"))
    waiting, owed = set(range(4)), []
    for number in range(max_rounds):
        letters = {index: fates[index][number] for index in sorted(waiting)}
        owed += [(Stage.PAINT, number, dict.fromkeys(letters, "a")), (Stage.JUDGE, number, letters)]
        waiting = {index for index, letter in letters.items() if letter == "r"}
        if not waiting:
            break
    for stage, number, letters in owed[:num_known]:
        records[stage][number] = _record(stage, number, letters)
    chosen = _chosen(records, max_rounds)
    if num_known < len(owed):
        assert chosen.wanted_units == (0,)
        assert dict(chosen.round_of_unit) == {0: num_known // 2 + 1}
    else:
        kept = tuple(index for index in range(4) if "a" in fates[index][:max_rounds])
        assert dict(chosen.published) == {0: kept}
        assert chosen.num_accepted == len(kept)


def _image(index: int, round_number: int) -> ImageRow:
    data = png(index + 1000 * round_number)
    return replace(image_row(index), png=data, sha256=hashlib.sha256(data).hexdigest())


def test_rounds_are_lacking_in_turn_and_published_with_the_image_that_was_kept(
    store: LocalStore, ledger: Ledger
) -> None:
    """Index 1 is kept in round 2, 2 refused in both, 3 refused by a gate when painted again."""
    units = partition(None, 2 * UNIT_SIZE, UNIT_SIZE)
    rounds = Rounds(len(units), max_rounds=2)
    assert unwritten(ledger, (0, 1)) == [0, 1]
    for unit in units:
        settle(store, ledger, Stage.WRITE, unit.number, [report_row(i) for i in unit.indices])
    assert unpainted(ledger, rounds, (0, 1), 1) == [0, 1]
    assert unjudged(ledger, rounds, (0, 1), 1) == []
    settle(store, ledger, Stage.PAINT, 0, [_image(index, 1) for index in units[0].indices])
    settle(store, ledger, Stage.PAINT, 1, [quarantined_row(index) for index in units[1].indices])
    assert unjudged(ledger, rounds, (0, 1), 1) == [0, 1]
    settle(store, ledger, Stage.JUDGE, 0, [judge_row(i, BLURRED if i else None) for i in range(4)])
    settle(store, ledger, Stage.JUDGE, 1, [])
    assert unpainted(ledger, rounds, (0, 1), 2) == [2], "unit 0 in its second round"
    gate = RejectionReason.CONSTANT
    again = [_image(1, 2), _image(2, 2), replace(image_row(3, gate))]
    settle(store, ledger, Stage.PAINT, 2, again)
    assert unjudged(ledger, rounds, (0, 1), 2) == [2]
    settle(store, ledger, Stage.JUDGE, 2, [judge_row(1), judge_row(2, BLURRED)])
    assert unpainted(ledger, rounds, (0, 1), 2) == unjudged(ledger, rounds, (0, 1), 2) == []

    records = {stage: ledger.settled(stage) for stage in STAGES}
    selection = select(units, records, SelectionRules(None, max_rounds=2))
    assert selection.complete
    dataset = Dataset(store, LAYOUT, ledger)
    publish_samples(dataset, LINEAGE, units, planned_samples)
    for table in PUBLISHED:
        publish_table(dataset, table, selection, LINEAGE)
    release = create_release(store, LAYOUT, LINEAGE, target=None, complete=True)
    columns = ["index", "sha256", "answers", "scores", "judged"]
    pairs = open_table(store, release, Table.PAIRS).to_table(columns=columns).to_pylist()
    assert [row["index"] for row in pairs] == [0, 1]
    assert [row["sha256"] for row in pairs] == [_image(0, 1).sha256, _image(1, 2).sha256]
    assert all(row["answers"] and row["judged"]["engine"] == "grammar" for row in pairs)
    assert [score["gate"] for score in pairs[0]["scores"]] == ["report", "technical", "judge"]
    columns = ["index", "sha256", "stage", "reason", "answers"]
    rejects = open_table(store, release, Table.REJECTS).to_table(columns=columns).to_pylist()
    by_index = {row["index"]: row for row in rejects}
    assert by_index[2]["sha256"] == _image(2, 2).sha256
    assert (by_index[2]["stage"], by_index[2]["reason"]) == (Stage.JUDGE, BLURRED)
    assert by_index[2]["answers"][0]["reason"] == "as seen"
    assert (by_index[3]["stage"], by_index[3]["reason"]) == (Stage.PAINT, gate)
    assert by_index[3]["answers"] == []
    assert len(rejects) == 2 + UNIT_SIZE

    collect_dataset(store, LAYOUT, ledger, selection)
    for stage, number in ((Stage.PAINT, 0), (Stage.PAINT, 2), (Stage.JUDGE, 2)):
        with pytest.raises(ObjectMissing):
            read_staged(store, ledger.record(stage, number).staged, ImageRow)
