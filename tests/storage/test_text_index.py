"""The word index over reports, on a real table."""

from concurrent.futures import ThreadPoolExecutor

import lance
import pyarrow as pa
import pytest
from lance.query import MatchQuery, PhraseQuery

from storage.objects import LocalStore
from storage.publisher import publish
from storage.tables import PublishedTable
from storage.text_index import index_texts, unindexed_rows

SCHEMA = pa.schema(
    [
        pa.field("unit", pa.int64(), nullable=False),
        pa.field("findings", pa.string()),
        pa.field("impression", pa.string()),
    ]
)
_TEXTS = [("No pleural Effusions seen.", "No effusion."), ("Small effusion, left.", "Effusion.")]


@pytest.fixture
def table(store: LocalStore) -> PublishedTable:
    return PublishedTable(store, "t.lance", SCHEMA)


def _unit_rows(unit: int) -> pa.Table:
    findings, impression = _TEXTS[unit % 2]
    return pa.Table.from_pylist(
        [{"unit": unit, "findings": findings, "impression": impression}], schema=SCHEMA
    )


def _units(dataset: lance.LanceDataset, query: MatchQuery | PhraseQuery) -> list[int]:
    found = dataset.scanner(
        columns=["unit"], full_text_query=query, disable_scoring_autoprojection=True
    ).to_table()
    return sorted(found["unit"].to_pylist())


def test_index_texts_finds_words_their_forms_and_phrases(table: PublishedTable) -> None:
    publish(table, range(4), _unit_rows)
    index_texts(table)
    dataset = table.open()
    assert _units(dataset, MatchQuery("EFFUSION", "findings")) == [0, 1, 2, 3]
    assert _units(dataset, MatchQuery("no", "findings")) == [0, 2]
    assert _units(dataset, PhraseQuery("no pleural effusion", "findings")) == [0, 2]
    assert unindexed_rows(dataset, "impression") == 0


def test_index_texts_again_commits_nothing(table: PublishedTable) -> None:
    publish(table, range(4), _unit_rows)
    first = index_texts(table)
    assert index_texts(table) == first == table.open().version


def test_index_texts_rows_that_came_later_are_found_before_and_after_they_are_indexed(
    table: PublishedTable,
) -> None:
    publish(table, range(4), _unit_rows)
    index_texts(table)
    before = table.open()
    publish(table, range(6), _unit_rows)
    assert unindexed_rows(table.open(), "findings") == 2
    assert _units(table.open(), MatchQuery("no", "findings")) == [0, 2, 4]
    index_texts(table)
    assert unindexed_rows(table.open(), "findings") == 0
    assert _units(table.open(), MatchQuery("no", "findings")) == [0, 2, 4]
    assert _units(before, MatchQuery("no", "findings")) == [0, 2]


def test_index_texts_a_publisher_that_had_opened_the_table_is_not_refused(
    table: PublishedTable,
) -> None:
    publish(table, range(2), _unit_rows)
    opened = table.open()
    index_texts(table)
    table.commit(opened, table.write_fragments(opened, _unit_rows(2)))
    assert _units(table.open(), MatchQuery("effusion", "findings")) == [0, 1, 2]


def test_index_texts_beside_publishers_and_indexers_loses_no_row(table: PublishedTable) -> None:
    publish(table, range(2), _unit_rows)

    def work(number: int) -> None:
        if number % 2:
            publish(table, range(2, 12), _unit_rows)
        else:
            index_texts(table)

    with ThreadPoolExecutor(6) as workers:
        list(workers.map(work, range(6)))
    index_texts(table)
    dataset = table.open()
    assert sorted(dataset.to_table(columns=["unit"])["unit"].to_pylist()) == list(range(12))
    assert unindexed_rows(dataset, "findings") == 0
    assert _units(dataset, MatchQuery("effusion", "findings")) == list(range(12))


def test_index_texts_without_rows_makes_no_index(table: PublishedTable) -> None:
    table.create_if_absent()
    assert index_texts(table) == 1
    assert unindexed_rows(table.open(), "findings") is None
