"""The samples before and after one, in the order and with the filters of the page it came from."""

from dataclasses import dataclass

from browser.asking import Asked
from browser.sample_page import row_of


@dataclass(frozen=True, slots=True)
class Beside:
    """Addresses of the samples beside one; empty at an end."""

    previous: str
    next: str


def beside(asked: Asked, sample_id: str) -> Beside:
    """The neighbours of a sample, which itself may no longer pass the filters.

    Raises:
        Problem: If the table has no such sample.
    """
    opened, filters = asked.opened, asked.filters
    rows = opened.answers.rows(filters)
    before, after = opened.index.beside(rows, filters.sort, row_of(opened, sample_id))
    return Beside(_address(asked, before), _address(asked, after))


def _address(asked: Asked, row: int | None) -> str:
    if row is None:
        return ""
    query = asked.filters.query()
    return f"{asked.path}/{asked.opened.index.sample_id(row)}{'?' if query else ''}{query}"
