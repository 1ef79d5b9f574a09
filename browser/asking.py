"""What a request asks for, checked: a table of a release, filters, a sample to go on from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Query, Request

from browser.filters import AFTER, Filters, parse_filters
from browser.library import SHOWN, Library
from browser.open_tables import OpenTable
from browser.problems import not_found
from browser.review_desk import Desk
from storage.layout import Table

_MAX_NUMBER = 10**9
_MAX_INDEX = 2**62
Name = Annotated[str, Path(description="Of the dataset.")]
Number = Annotated[int, Path(ge=1, le=_MAX_NUMBER, description="Of the release.")]
TableName = Annotated[str, Path(description="pairs or rejects.")]
SampleId = Annotated[str, Path(description="32 hex digits.")]
After = Annotated[int | None, Query(ge=0, le=_MAX_INDEX, description="Sample index to go on from.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """A table of a release with the filters of the address."""

    opened: OpenTable
    filters: Filters

    @property
    def path(self) -> str:
        """The table's address."""
        release = self.opened.release
        return f"/datasets/{release.dataset}/{release.number}/{self.opened.table}"

    def link(self, filters: Filters, **more: str | int) -> str:
        """The address of the same table with these filters."""
        query = filters.query(**more)
        return f"{self.path}?{query}" if query else self.path


def library_of(request: Request) -> Library:
    """The library that this application serves."""
    found: Library = request.app.state.library
    return found


def desk_of(request: Request) -> Desk | None:
    """Where this application's visitors review; None where they only read."""
    found: Desk | None = request.app.state.desk
    return found


def open_asked(request: Request, name: str, number: int, table: str) -> OpenTable:
    """The table that the path names; raises Problem when there is none."""
    if table not in [str(one) for one in SHOWN]:
        raise not_found(f"A release shows pairs and rejects, not {table[:40]!r}.", "See its pairs.")
    return library_of(request).open(name, number, Table(table))


def ask(
    request: Request, name: str, number: int, table: str, passed_over: Sequence[str] = ()
) -> Asked:
    """The table that the path names with the filters of the query.

    Args:
        request: Whose query.
        name: Of the dataset.
        number: Of the release.
        table: Pairs or rejects.
        passed_over: Names in the query that are no filters.

    Raises:
        Problem: If there is no such table.
        ValueError: If a filter can be none.
    """
    opened, desk = open_asked(request, name, number, table), desk_of(request)
    opened = opened if desk is None else desk.with_decisions(opened)
    index = opened.index
    query = request.query_params.multi_items()
    pairs = [(key, value) for key, value in query if key not in (AFTER, *passed_over)]
    return Asked(opened, parse_filters(pairs, index.facets, index.bounds))
