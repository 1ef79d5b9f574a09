"""Answers about rows whose facets change: what does not concern those is worked out once."""

import numpy as np
import pytest

from browser.columns import SingleColumn
from browser.facets import Facet
from browser.filters import Choice, Filters
from browser.library import Library
from browser.open_tables import OpenTable
from browser.settings import Settings
from browser.table_index import TableIndex
from storage.layout import Table
from tests.browser.released import NAME, NUM_PAIRS

STATUS = Facet("review", "Review")
ALL, MOST = Filters(), 10


def _marked(opened: OpenTable, version: int, num_kept: int) -> OpenTable:
    """The same table, the first so many of whose rows were kept."""
    code_N = (np.arange(NUM_PAIRS) >= num_kept).astype(np.int32)
    return opened.with_facets(
        version, lambda: {STATUS: SingleColumn(("kept", "undecided"), code_N)}
    )


def test_facets_that_change_leave_the_answers_about_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    count = TableIndex.count

    def counting(index: TableIndex, *asked: object) -> object:
        counted.append(1)
        return count(index, *asked)  # type: ignore[arg-type]

    monkeypatch.setattr(TableIndex, "count", counting)
    opened = Library(settings).open(NAME, 1, Table.PAIRS)
    views = opened.answers.counts("view", ALL, MOST)
    for version, num_kept in ((1, 5), (2, 9)):
        marked = _marked(opened, version, num_kept)
        assert marked is _marked(opened, version, NUM_PAIRS), "made once a version"
        assert marked.answers.counts("view", ALL, MOST) is views
        statuses = {
            one.value: one.num_rows for one in marked.answers.counts("review", ALL, MOST).counts
        }
        assert statuses == {"kept": num_kept, "undecided": NUM_PAIRS - num_kept}
        kept = Filters((Choice("review", "kept"),))
        assert np.flatnonzero(marked.answers.rows(kept)).tolist() == list(range(num_kept))
        of_kept = marked.answers.counts("view", kept, MOST)
        assert sum(one.num_rows for one in of_kept.counts) == num_kept
        assert marked.answers.num_found(ALL) == NUM_PAIRS
        assert marked.answers.neighbours(3, 4) is opened.answers.neighbours(3, 4)
    assert len(counted) == 1 + 2 * 2
