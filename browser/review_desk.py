"""Decisions of a root's reviewers as they are now, and where new ones are put.

All else that the browser shows is of a release; this alone is live.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from browser.columns import Rows
from browser.open_tables import OpenTable
from browser.remembered import Remembered
from browser.review_columns import Standing, review_facets
from storage.layout import DatasetLayout, Table
from storage.objects import ObjectStore
from storage.releases import Release
from storage.review_records import Review
from storage.reviews import append_reviews, read_reviews, review_table, standing_reviews
from storage.slice_scan import matching_rows
from storage.slices import Slice, slice_content
from storage.table_schemas import Lineage
from storage.tables import open_lance, table_exists

_SliceKey = tuple[str, str, bytes]  # release, when it was made, the slice's content
Key = TypeVar("Key")
Value = TypeVar("Value")

_MAX_SLICES_BYTES = 8 << 20  # of the rows that slices mean, a bit a row
_MAX_HELD = 8  # datasets whose decisions are in memory


@dataclass(frozen=True, slots=True)
class Decisions:
    """All of a dataset.

    Attributes:
        version: Of the table; 0 where nobody decided anything.
        reviews: In the order they were taken in, answers of blind studies among them.
        standing: What stands of them.
    """

    version: int
    reviews: Sequence[Review]
    standing: Standing


class Desk:
    """Where people review.

    Attributes:
        reviewer: Who decides until somebody says another name; empty for nobody.
    """

    def __init__(self, store: ObjectStore, reviewer: str) -> None:
        self.reviewer = reviewer
        self._store = store
        self._decisions: OrderedDict[str, Decisions] = OrderedDict()
        self._slices: Remembered[_SliceKey, NDArray[np.uint8]]
        self._slices = Remembered(_MAX_SLICES_BYTES, lambda bits: bits.nbytes)
        self._lock = Lock()

    def decisions(self, dataset: str) -> Decisions:
        """What was decided up to now; read again only when it became more."""
        key = DatasetLayout(dataset).table(Table.REVIEWS)
        if not table_exists(self._store, key):
            return Decisions(0, (), {})
        table = open_lance(self._store, key, None)
        with self._lock:
            held = self._decisions.get(dataset)
            if held is None or held.version < table.version:
                known = () if held is None else held.reviews  # rows are only ever added
                reviews = [*known, *read_reviews(table, first=len(known))]
                held = Decisions(table.version, reviews, standing_reviews(reviews))
            _hold(self._decisions, dataset, held)
            return held

    def with_decisions(self, opened: OpenTable) -> OpenTable:
        """The table with what people decided as facets."""
        decisions = self.decisions(opened.release.dataset)
        return opened.with_facets(
            decisions.version, lambda: review_facets(opened.index, decisions.standing)
        )

    def count_slices(self, release: Release, wanted: Sequence[Slice]) -> None:
        """Count slices of a release that were not counted yet, in one scan of its pairs."""
        new = [one for one in wanted if not self._slices.holds(_slice_key(release, one))]
        if not new:
            return
        found = matching_rows(self._store, release, [one.filter for one in new])
        for one, rows in zip(new, found, strict=True):
            self._slices.get(_slice_key(release, one), partial(np.packbits, rows))

    def slice_size(self, release: Release, wanted: Slice) -> int:
        """How many pairs a slice of a release means; counted once, since it never changes."""
        return int(np.bitwise_count(self._slice_bits(release, wanted)).sum())

    def slice_rows(self, release: Release, wanted: Slice, num_rows: int) -> Rows:
        """Which rows of a release's pairs a slice means; of as many as the table has."""
        bits = self._slice_bits(release, wanted)
        return np.unpackbits(bits, count=num_rows).view(np.bool_)

    def _slice_bits(self, release: Release, wanted: Slice) -> NDArray[np.uint8]:
        """The rows that a slice means, a bit each: training's own scan of the table."""
        return self._slices.get(
            _slice_key(release, wanted),
            lambda: np.packbits(matching_rows(self._store, release, [wanted.filter])[0]),
        )

    def add(self, release: Release, reviews: Sequence[Review]) -> None:
        """Put decisions into the dataset's table in one commit; those that are there stay as is.

        Raises:
            ValueError: If the id of one names another decision.
            StoreFull: If there is no room.
            StoreUnavailable: If the store gave no clear answer; the same may be sent again.
        """
        lineage = Lineage(release.dataset, release.fingerprint, release.restricted)
        append_reviews(review_table(self._store, DatasetLayout(release.dataset), lineage), reviews)


def _slice_key(release: Release, wanted: Slice) -> _SliceKey:
    return release.release_id, release.created_at, slice_content(wanted)


def _hold(held: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    """Remember it as the latest, and forget the one not asked for longest."""
    held[key] = value
    held.move_to_end(key)
    while len(held) > _MAX_HELD:
        held.popitem(last=False)
