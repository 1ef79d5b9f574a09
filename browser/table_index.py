"""One version of a table in memory: which rows a choice leaves, how many of what, in what order.

Legend: N rows; a *row* is a position in the table's version, as Lance's `take` counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from browser.columns import Column, ListColumn, NumberColumn, Rows
from browser.facets import ENTITY
from browser.filters import BY_INDEX, Filters

_MAX_ORDERS = 4  # remembered; 4 MB each a million rows
ALL_VALUES = 10**9
_ID_DIGITS = 32
_FAR = 1000  # more bits than a hash has
_LEVELS = 4096  # that shares of common entities are told apart by before they are sorted


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows have a value, and whether the page asks for it."""

    value: str
    num_rows: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class FacetCount:
    """The most frequent values of a facet, and how many it has in all."""

    counts: list[Count]
    num_values: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of an order.

    Attributes:
        rows: Positions in the table.
        after: The sample index to go on from; None at the end.
    """

    rows: tuple[int, ...]
    after: int | None


@dataclass(frozen=True, eq=False, slots=True)
class TableIndex:
    """The columns that pages count and filter by.

    Attributes:
        index_N: Sample index of each row.
        sample_NW: Sample id of each row as two words; each word's column lies in one piece, as
            those of `signature_NW` do.
        signature_NW: Perceptual hash of each row's image as four words.
        has_image_N: Whether there is an image; the hash says nothing otherwise.
        row_id_N: Lance's stable id of each row.
        facets: By name.
        measures: Gate scores, by "gate/measure".
    """

    index_N: NDArray[np.int64]
    sample_NW: NDArray[np.uint64]
    signature_NW: NDArray[np.uint64]
    has_image_N: Rows
    row_id_N: NDArray[np.int64]
    facets: Mapping[str, Column]
    measures: Mapping[str, NumberColumn]
    _orders: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.index_N)

    @property
    def num_bytes(self) -> int:
        """Memory it takes, about."""
        arrays = (self.index_N, self.sample_NW, self.signature_NW, self.has_image_N, self.row_id_N)
        plain = sum(one.nbytes for one in arrays)
        facets = sum(column.num_bytes for column in self.facets.values())
        measures = sum(column.value_N.nbytes for column in self.measures.values())
        return plain + facets + measures + _MAX_ORDERS * self.index_N.nbytes

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Least and greatest value of each measure that has different ones."""
        return {
            name: (column.low, column.high)
            for name, column in self.measures.items()
            if column.low < column.high
        }

    def rows_where(self, filters: Filters, found: Rows | None) -> Rows:
        """Rows that pass all filters.

        Args:
            filters: What the page asks for.
            found: Rows whose reports have the words asked for; None when none are asked for.
        """
        rows = np.ones(self.num_rows, bool) if found is None else found.copy()
        for name, values in filters.by_facet.items():
            rows &= self.facets[name].rows_with(values)
        for bounds in filters.ranges:
            rows &= self.measures[bounds.measure].rows_within(bounds.low, bounds.high)
        return rows

    def count(
        self, facet: str, rows: Rows, chosen: Sequence[str] = (), most: int = ALL_VALUES
    ) -> FacetCount:
        """Values of a facet with how many of these rows have each, most frequent first.

        Values that none of them has are left out, unless they are chosen.

        Args:
            facet: Its name.
            rows: Those to count.
            chosen: Values that the page asks for.
            most: At most so many others: of a million samples there are thirty thousand units.
        """
        column = self.facets[facet]
        num_V = column.counts(rows)
        present = np.flatnonzero(num_V)
        first = present[np.argsort(-num_V[present], kind="stable")[:most]].tolist()
        place = {column.values[at]: at for at in first}
        for value in chosen:
            if value not in place and value in column.values:
                place[value] = column.values.index(value)
        counts = [Count(value, int(num_V[at]), value in chosen) for value, at in place.items()]
        counts += [Count(value, 0, True) for value in chosen if value not in place]
        return FacetCount(counts, len(present))

    def page(self, rows: Rows, sort: str, after: int | None, size: int) -> Slice:
        """The next rows of an order.

        Args:
            rows: Those to show.
            sort: As `Filters` has it.
            after: Index of the last sample seen; None for the beginning.
            size: At most so many.

        Raises:
            LookupError: If no row has the index.
        """
        order = self._order(sort)
        start = 0 if after is None else 1 + int(np.flatnonzero(order == self._row(after))[0])
        shown: list[int] = []
        step = max(4 * size, 1024)  # grows, since few of the rows may be meant
        while start < len(order) and len(shown) <= size:
            some = order[start : start + step]
            shown += some[rows[some]][: size + 1].tolist()
            start, step = start + step, 4 * step
        last = int(self.index_N[shown[size - 1]]) if len(shown) > size else None
        return Slice(tuple(shown[:size]), last)

    def beside(self, rows: Rows, sort: str, row: int) -> tuple[int | None, int | None]:
        """The rows before and after one in an order, among those to show."""
        order = self._order(sort)
        at = int(np.flatnonzero(order == row)[0])
        before, after = order[:at], order[at + 1 :]
        before, after = before[rows[before]], after[rows[after]]
        return (
            int(before[-1]) if len(before) else None,
            int(after[0]) if len(after) else None,
        )

    def row_of_sample(self, sample_id: str) -> int | None:
        """The row of a sample id; None when the table has none, or when it can be no id."""
        if len(sample_id) != _ID_DIGITS or set(sample_id) - set("0123456789abcdef"):
            return None
        first, second = (np.uint64(int(half, 16)) for half in (sample_id[:16], sample_id[16:]))
        near = np.flatnonzero(self.sample_NW[:, 0] == first)  # hashes: hardly ever two
        found = near[self.sample_NW[near, 1] == second]
        return int(found[0]) if len(found) else None

    def sample_id(self, row: int) -> str:
        """The sample id of a row."""
        first, second = self.sample_NW[row].tolist()
        return f"{first:016x}{second:016x}"

    def rows_of_row_ids(self, row_ids: NDArray[np.int64]) -> Rows:
        """Which rows have one of Lance's stable ids."""
        has = np.zeros(1 + int(self.row_id_N.max(initial=-1)), bool)
        has[row_ids] = True
        found: Rows = has[self.row_id_N]
        return found

    def look_alike(self, row: int, size: int) -> list[int]:
        """Other rows whose images look most like this one's, by perceptual hash, nearest first."""
        if not self.has_image_N[row]:
            return []
        apart_NW = np.bitwise_count(self.signature_NW ^ self.signature_NW[row])
        apart_N = apart_NW[:, 0].astype(np.int16)
        for word in range(1, apart_NW.shape[1]):  # numpy's own sum over so few takes thrice as long
            apart_N += apart_NW[:, word]
        apart_N[~self.has_image_N] = _FAR
        apart_N[row] = _FAR
        near = np.argpartition(apart_N, min(size, self.num_rows - 1))[:size]
        near = near[apart_N[near] < _FAR]
        best = near[np.lexsort((near, apart_N[near]))]
        return [int(one) for one in best]

    def alike(self, row: int, size: int) -> list[int]:
        """Other rows whose reports share most entities with this one's, best first.

        Measured by what is shared of all that either has; a row that shares nothing is not alike.
        """
        entities = self.facets[ENTITY]
        assert isinstance(entities, ListColumn)
        codes = entities.codes_of(row)
        if not len(codes):
            return []
        shared = np.zeros(self.num_rows, np.int32)
        for code in codes.tolist():
            shared[entities.rows_of(code)] += 1
        shared[row] = 0
        share = shared / np.maximum(entities.num_N + len(codes) - shared, 1)
        near = _greatest(share, size)
        best = near[np.argsort(-share[near], kind="stable")][:size]
        return [one for one in best.tolist() if shared[one]]

    def _row(self, index: int) -> int:
        found = np.flatnonzero(self.index_N == index)
        if not len(found):
            raise LookupError(f"no sample of index {index}")
        return int(found[0])

    def _order(self, sort: str) -> NDArray[np.int32]:
        with self._lock:
            if sort not in self._orders:
                while len(self._orders) >= _MAX_ORDERS:
                    self._orders.pop(next(iter(self._orders)))
                self._orders[sort] = self._sorted(sort)
            return self._orders[sort]

    def _sorted(self, sort: str) -> NDArray[np.int32]:
        """Rows by value, those of one value by index; those without a value come last."""
        name = sort.removeprefix("-")
        values = self.index_N if name == BY_INDEX else self.measures[name].value_N
        order = np.lexsort((self.index_N, -values if sort.startswith("-") else values))
        return order.astype(np.int32)


def _greatest(share_N: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Positions of the greatest shares, 0 to 1, and of some more; in order.

    By levels: numpy's partition takes twenty times as long where many shares are equal.
    """
    level_N = (share_N * _LEVELS).astype(np.int32)
    num_from_L = np.cumsum(np.bincount(level_N)[::-1])[::-1]
    return np.flatnonzero(level_N >= np.count_nonzero(num_from_L >= size) - 1)
