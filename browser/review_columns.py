"""What people decided on a table's samples, as facets beside the release's own."""

from collections.abc import Collection, Mapping

import numpy as np

from browser.columns import Column, SingleColumn, list_column
from browser.facets import Facet
from browser.table_index import TableIndex
from storage.review_records import Review
from storage.review_rules import DEFAULT_RULES, ReviewStatus

Standing = Mapping[str, Mapping[str, Review]]  # sample id, then reviewer, to what stands
STATUS = Facet("review", "Review")
REVIEWER = Facet("reviewer", "Reviewed by")
_STATUSES = tuple(str(one) for one in ReviewStatus)


def review_facets(index: TableIndex, standing: Standing) -> dict[Facet, Column]:
    """What reviewers say together, where one rejection rejects; and who decided.

    Args:
        index: Of the table.
        standing: Of its dataset; samples of other tables are passed over.
    """
    rows = rows_of(index, standing)
    code_N = np.full(index.num_rows, _STATUSES.index(ReviewStatus.UNDECIDED), np.int32)
    for sample_id, row in rows.items():
        code_N[row] = _STATUSES.index(DEFAULT_RULES.status(standing[sample_id]))
    names = sorted({name for sample_id in rows for name in standing[sample_id]})
    pairs = [
        (row, names.index(name)) for sample_id, row in rows.items() for name in standing[sample_id]
    ]
    row_E, code_E = np.array(pairs, np.int32).reshape(-1, 2).T.copy()
    return {
        STATUS: SingleColumn(_STATUSES, code_N),
        REVIEWER: list_column(names, row_E, code_E, index.num_rows),
    }


def rows_of(index: TableIndex, sample_ids: Collection[str]) -> dict[str, int]:
    """The rows of those ids that the table has: one pass, however many are asked for."""
    starts = np.array([word for one in sample_ids for word in _first_word(one)], np.uint64)
    wanted = frozenset(sample_ids)
    near = np.flatnonzero(np.isin(index.sample_NW[:, 0], starts)).tolist()
    return {found: row for row in near if (found := index.sample_id(row)) in wanted}


def _first_word(sample_id: str) -> list[int]:
    """What an id is looked up by; nothing of what can be no id."""
    try:
        return [int(sample_id[:16], 16)]
    except ValueError:
        return []
