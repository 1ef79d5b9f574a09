"""What was asked of one table lately: a table of a release never changes, so answers stay right.

A row is a bit in what is remembered of rows: of a million rows an answer takes 125 kB.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from browser.columns import ListColumn, Rows
from browser.filters import BY_INDEX, Filters
from browser.remembered import Remembered
from browser.table_index import FacetCount, TableIndex
from browser.text_search import TextSearch

_MAX_ROWS_BYTES = 8 << 20
_MAX_COUNTS_BYTES = 16 << 20
_COUNT_BYTES = 200  # of one value with its count, as Python objects
_MAX_NEIGHBOURS = 1024  # samples


@dataclass(frozen=True, slots=True)
class _Asked:
    """A facet, what is chosen, and how many of its values are wanted."""

    facet: str
    filters: Filters
    most: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Rows of other samples, the most similar first.

    Attributes:
        alike: Whose reports share most entities.
        look_alike: Whose images look most alike.
    """

    alike: tuple[int, ...]
    look_alike: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows that pass filters, as bits; and their number."""

    bits: NDArray[np.uint8]
    num_rows: int


class Answers:
    """Rows, counts and neighbours of one table, each worked out once for all who ask."""

    def __init__(
        self, index: TableIndex, search: TextSearch, under: "Answers | None" = None
    ) -> None:
        """Nothing was asked yet.

        Args:
            index: Of the table.
            search: In its reports.
            under: Answers about the same rows without some of the facets, which stay right when
                those change; asked for all that does not concern them.
        """
        self._index = index
        self._search = search
        self._under = under
        self._found: Remembered[Filters, _Found]
        self._found = Remembered(_MAX_ROWS_BYTES, lambda found: found.bits.nbytes)
        self._counts: Remembered[_Asked, FacetCount]
        self._counts = Remembered(
            _MAX_COUNTS_BYTES, lambda counted: _COUNT_BYTES * (1 + len(counted.counts))
        )
        self._neighbours: Remembered[tuple[int, int], Neighbours]
        self._neighbours = Remembered(_MAX_NEIGHBOURS, lambda _: 1)

    @property
    def num_bytes(self) -> int:
        """Memory that what is remembered takes, about."""
        return self._found.weight + self._counts.weight

    def rows(self, filters: Filters) -> Rows:
        """Rows that pass all filters, whatever their order."""
        bits = self._answer(filters).bits
        return np.unpackbits(bits, count=self._index.num_rows).view(np.bool_)

    def num_found(self, filters: Filters) -> int:
        """How many rows pass all filters."""
        return self._answer(filters).num_rows

    def counts(self, facet: str, filters: Filters, most: int) -> FacetCount:
        """The most frequent values of a facet, and those that are chosen.

        A facet of one value a row is counted as if nothing were chosen of it, so that a second
        value can be added; one of many values among the rows that are left.
        """
        if self._under is not None and self._under._knows(facet, *filters.by_facet):
            return self._under.counts(facet, filters, most)
        asked = _Asked(facet, _without_order(filters), most)
        return self._counts.get(asked, lambda: self._counted(asked))

    def neighbours(self, row: int, size: int) -> Neighbours:
        """Other samples like one, at most so many of each kind."""
        if self._under is not None:
            return self._under.neighbours(row, size)
        return self._neighbours.get(
            (row, size),
            lambda: Neighbours(
                tuple(self._index.alike(row, size)), tuple(self._index.look_alike(row, size))
            ),
        )

    def _knows(self, *facets: str) -> bool:
        return self._index.facets.keys() >= set(facets)

    def _counted(self, asked: _Asked) -> FacetCount:
        filters, facet = asked.filters, asked.facet
        is_list = isinstance(self._index.facets[facet], ListColumn)
        rows = self.rows(filters if is_list else filters.without_facet(facet))
        return self._index.count(facet, rows, filters.by_facet.get(facet, ()), asked.most)

    def _answer(self, filters: Filters) -> _Found:
        if self._under is not None and self._under._knows(*filters.by_facet):
            return self._under._answer(filters)
        asked = _without_order(filters)
        return self._found.get(asked, lambda: self._looked_up(asked))

    def _looked_up(self, filters: Filters) -> _Found:
        rows = self._index.rows_where(filters, self._search.rows_with(filters.text))
        return _Found(np.packbits(rows), int(np.count_nonzero(rows)))


def _without_order(filters: Filters) -> Filters:
    return replace(filters, sort=BY_INDEX)
