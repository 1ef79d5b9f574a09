"""The word index over reports: built before a release, so that browsing writes nothing.

An index changes a table's version and none of its rows: it leaves the publisher's compare-and-swap
and the content of a release alone. Rows that came after it are still found, one by one.
"""

import lance

from storage.errors import CommitRefused
from storage.tables import PublishedTable, lance_errors

TEXT_COLUMNS = ("findings", "impression")
_TRIES = 8  # a refusal means that a publisher or another indexer came first


def index_texts(table: PublishedTable) -> int:
    """Index the words of a table's reports, rows that came since included; returns the version.

    Nothing happens when every row is indexed, or when there is none.

    Raises:
        CommitRefused: If others kept changing the table; nothing is lost, run again.
    """
    for _ in range(_TRIES - 1):
        try:
            return _index_once(table)
        except CommitRefused:
            continue
    return _index_once(table)


def unindexed_rows(dataset: lance.LanceDataset, column: str) -> int | None:
    """Rows of this version that the column's word index lacks; None where there is no index."""
    with lance_errors(dataset.uri):
        indexed = [one for one in dataset.describe_indices() if one.field_names == [column]]
        if not indexed:
            return None
        return int(dataset.count_rows()) - int(indexed[0].num_rows_indexed)


def _index_once(table: PublishedTable) -> int:
    dataset = table.open()
    if dataset.count_rows() == 0:
        return int(dataset.version)
    with lance_errors(table.uri):
        for column in TEXT_COLUMNS:
            lacking = unindexed_rows(dataset, column)
            if lacking is None:
                _create(dataset, column)
            elif lacking:
                dataset.optimize.optimize_indices(index_names=[_name(column)])
    return int(dataset.version)


def _create(dataset: lance.LanceDataset, column: str) -> None:
    """Every word counts ("no" above all), word forms are one, and phrases can be asked for."""
    dataset.create_scalar_index(
        column,
        "INVERTED",
        name=_name(column),
        replace=False,
        with_position=True,
        stem=True,
        lower_case=True,
        remove_stop_words=False,
    )


def _name(column: str) -> str:
    return f"{column}_words"
