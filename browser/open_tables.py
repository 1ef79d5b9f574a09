"""One table of one release, opened. Its columns are in memory once a page counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import RLock

import lance

from browser.answers import Answers
from browser.columns import Column
from browser.facets import Facet, facets_of
from browser.index_reading import read_index
from browser.table_index import TableIndex
from browser.text_search import TextSearch
from storage.layout import Table
from storage.releases import Release


@dataclass(frozen=True, slots=True)
class TableKey:
    """What names the rows of a table for ever."""

    release: str
    fingerprint: str
    version: int
    table: Table


class OpenTable:
    """One table of one release. Its columns are read for the first page that counts."""

    def __init__(self, release: Release, table: Table, dataset: lance.LanceDataset) -> None:
        self.release = release
        self.table = table
        self.dataset = dataset
        self.facets = facets_of(table)
        self._lock = RLock()
        self._index: TableIndex | None = None
        self._search: TextSearch | None = None
        self._answers: Answers | None = None
        self._faceted: tuple[int, OpenTable] | None = None

    @property
    def key(self) -> TableKey:
        """Which rows these are."""
        return key_of(self.release, self.table)

    @property
    def index(self) -> TableIndex:
        """The columns in memory; whoever comes while they are read waits for them."""
        with self._lock:
            if self._index is None:
                self._index = read_index(self.dataset, self.table)
            return self._index

    @property
    def search(self) -> TextSearch:
        """Words in its reports."""
        with self._lock:
            if self._search is None:
                self._search = TextSearch(self.dataset, self.index)
            return self._search

    @property
    def answers(self) -> Answers:
        """What was asked of it lately."""
        with self._lock:
            if self._answers is None:
                self._answers = Answers(self.index, self.search)
            return self._answers

    def with_facets(
        self, version: int, columns: Callable[[], Mapping[Facet, Column]]
    ) -> "OpenTable":
        """The same rows with facets that are not the release's own, shown first.

        Args:
            version: Of what the facets are made of; those of the version before are forgotten.
            columns: Makes them.
        """
        with self._lock:
            if self._faceted is None or self._faceted[0] != version:
                more = columns()
                other = OpenTable(self.release, self.table, self.dataset)
                named = {facet.name: column for facet, column in more.items()}
                other._index = replace(self.index, facets={**self.index.facets, **named})
                other._search = self.search
                other._answers = Answers(other._index, self.search, self.answers)
                other.facets = (*more, *self.facets)
                self._faceted = version, other
            return self._faceted[1]

    @property
    def num_bytes(self) -> int:
        """Memory of what was read so far, about."""
        read = 0 if self._index is None else self._index.num_bytes
        asked = (self._answers, None if self._faceted is None else self._faceted[1]._answers)
        return read + sum(0 if one is None else one.num_bytes for one in asked)


def key_of(release: Release, table: Table) -> TableKey:
    """What names a release's table."""
    return TableKey(release.release_id, release.fingerprint, release.versions[table], table)
