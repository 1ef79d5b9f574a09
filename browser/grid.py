"""One page of a table: cards of samples, counts of facets, bounds of scores."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from browser.facets import IN_ORDER, WITH_ONE_VALUE, Facet
from browser.filters import Filters
from browser.open_tables import OpenTable
from browser.problems import not_found
from browser.table_index import Count
from storage.layout import Table
from storage.tables import lance_errors

PAGE_SIZE = 48
_CARD_COLUMNS = ("sample_id", "index", "impression", "thumbnail")
_LINE_CHARS = 140


@dataclass(frozen=True, slots=True)
class Card:
    """What a grid shows of one sample.

    Attributes:
        line: The impression's first line; empty where there is no report.
        thumbnail: JPEG, base64; empty where there is no image.
        reason: Why it was refused; empty for a pair.
    """

    sample_id: str
    index: int
    line: str
    thumbnail: str
    reason: str


@dataclass(frozen=True, slots=True)
class FacetCounts:
    """A facet with its values, most frequent first, ages and tries in order.

    Attributes:
        counts: The first of them, and those that are chosen.
        num_values: How many there are.
    """

    name: str
    title: str
    counts: list[Count]
    num_values: int

    @property
    def tells(self) -> bool:
        """Whether there is something to choose or to learn: not where all rows are the same."""
        several = self.num_values > 1 or any(one.chosen for one in self.counts)
        return several or (self.num_values > 0 and self.name in WITH_ONE_VALUE)


@dataclass(frozen=True, slots=True)
class Slider:
    """A gate score with its bounds, and what is asked for of it."""

    measure: str
    least: float
    greatest: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class CardPage:
    """Some cards, in order.

    Attributes:
        after: Sample index to go on from; null at the end.
    """

    cards: list[Card]
    after: int | None


@dataclass(frozen=True, slots=True)
class Counted:
    """What a choice leaves of a table.

    Attributes:
        num_rows: Of the table.
        num_found: Rows that pass the filters.
        text_indexed: Whether words are looked up in an index; else reports are read one by one.
    """

    num_rows: int
    num_found: int
    text_indexed: bool
    facets: list[FacetCounts]
    sliders: list[Slider]


def card_page(opened: OpenTable, filters: Filters, after: int | None, size: int) -> CardPage:
    """The cards that follow a sample, or the first ones.

    Raises:
        Problem: If the sample to follow is none of this table.
    """
    rows = opened.answers.rows(filters)
    try:
        shown = opened.index.page(rows, filters.sort, after, size)
    except LookupError as error:
        raise not_found(
            f"No sample of this table has the index {after}.", "Begin at the first page."
        ) from error
    return CardPage(cards(opened, shown.rows), shown.after)


def counted(opened: OpenTable, filters: Filters, most: int) -> Counted:
    """Counts of every facet, at most so many values of each, and the bounds of every score."""
    index = opened.index
    asked = {one.measure: one for one in filters.ranges}
    return Counted(
        num_rows=index.num_rows,
        num_found=opened.answers.num_found(filters),
        text_indexed=opened.search.is_indexed,
        facets=[facet_counts(opened, facet, filters, most) for facet in opened.facets],
        sliders=[
            Slider(
                measure=name,
                least=least,
                greatest=greatest,
                low=asked[name].low if name in asked else None,
                high=asked[name].high if name in asked else None,
            )
            for name, (least, greatest) in index.bounds.items()
        ],
    )


def facet_counts(opened: OpenTable, facet: Facet, filters: Filters, most: int) -> FacetCounts:
    """Counts of one facet, at most so many of its values."""
    counted = opened.answers.counts(facet.name, filters, most)
    counts = counted.counts
    if facet.name in IN_ORDER:
        counts = sorted(counts, key=lambda one: one.value)
    return FacetCounts(facet.name, facet.title, counts, counted.num_values)


def cards(opened: OpenTable, rows: Sequence[int]) -> list[Card]:
    """The cards of some rows, in this order; reads no full image."""
    reason = ["reason"] if opened.table is Table.REJECTS else []
    with lance_errors(opened.dataset.uri):
        taken = opened.dataset.take(list(rows), columns=[*_CARD_COLUMNS, *reason])
    return [
        Card(
            sample_id=row["sample_id"],
            index=row["index"],
            line=first_line(row["impression"] or ""),
            thumbnail=base64.b64encode(row["thumbnail"] or b"").decode(),
            reason=row.get("reason", ""),
        )
        for row in taken.to_pylist()
    ]


def first_line(text: str) -> str:
    """The first line of a text, cut where a card has no more room."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 1].rstrip()}…"
