"""Columns of a table held in memory for counting and filtering.

Legend: N rows, V distinct values, E pairs of a row and one of its values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.bool_]  # (N,), which rows are meant


class Column(Protocol):
    """What a facet stands on: values, and which rows have them."""

    @property
    def values(self) -> tuple[str, ...]:
        """The distinct values, in order of code."""
        ...

    @property
    def num_bytes(self) -> int:
        """Memory it takes, about."""
        ...

    def rows_with(self, chosen: Sequence[str]) -> Rows:
        """Rows that a choice of values leaves; a value that no row has leaves none of its own."""
        ...

    def counts(self, rows: Rows) -> NDArray[np.int64]:
        """How many of these rows have each value, (V,)."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class SingleColumn:
    """A column whose rows have one value each; several chosen values mean any of them.

    Attributes:
        code_N: Position in `values`.
    """

    values: tuple[str, ...]
    code_N: NDArray[np.int32]

    @property
    def num_bytes(self) -> int:
        """Memory it takes, about."""
        return self.code_N.nbytes

    def rows_with(self, chosen: Sequence[str]) -> Rows:
        """Rows with any of the values."""
        wanted_V = np.isin(np.array(self.values, object), np.array(chosen, object))
        rows: Rows = wanted_V[self.code_N] if len(wanted_V) else np.zeros(len(self.code_N), bool)
        return rows

    def counts(self, rows: Rows) -> NDArray[np.int64]:
        """How many of these rows have each value, (V,)."""
        codes = self.code_N if rows.all() else self.code_N[np.flatnonzero(rows)]
        return np.bincount(codes, minlength=len(self.values))


@dataclass(frozen=True, eq=False, slots=True)
class ListColumn:
    """A column whose rows have any number of values; several chosen values mean all of them.

    Attributes:
        row_E: Rows by value: those with value v are `row_E[start_V[v] : start_V[v + 1]]`.
        start_V: (V + 1,); no value is without a row.
        num_N: Values that each row has.
    """

    values: tuple[str, ...]
    row_E: NDArray[np.int32]
    start_V: NDArray[np.int64]
    num_N: NDArray[np.int16]

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.num_N)

    @property
    def num_bytes(self) -> int:
        """Memory it takes, about."""
        return self.row_E.nbytes + self.start_V.nbytes + self.num_N.nbytes

    def rows_of(self, code: int) -> NDArray[np.int32]:
        """Positions of the rows with one value."""
        return self.row_E[self.start_V[code] : self.start_V[code + 1]]

    def rows_with(self, chosen: Sequence[str]) -> Rows:
        """Rows with all of the values."""
        kept = np.ones(self.num_rows, bool)
        for value in chosen:
            has = np.zeros(self.num_rows, bool)
            if value in self.values:
                has[self.rows_of(self.values.index(value))] = True
            kept &= has
        return kept

    def counts(self, rows: Rows) -> NDArray[np.int64]:
        """How many of these rows have each value, (V,)."""
        if rows.all():
            return np.diff(self.start_V)
        counts = [np.count_nonzero(rows[self.rows_of(code)]) for code in range(len(self.values))]
        return np.array(counts, np.int64)

    def codes_of(self, row: int) -> NDArray[np.int64]:
        """Values of one row, as positions in `values`."""
        low_V, high_V = self.start_V[:-1].copy(), self.start_V[1:].copy()
        while (open_V := low_V < high_V).any():  # halves the rows of all values at once
            middle_V = (low_V + high_V) // 2
            before_V = np.zeros_like(open_V)
            before_V[open_V] = self.row_E[middle_V[open_V]] < row
            low_V = np.where(before_V, middle_V + 1, low_V)
            high_V = np.where(open_V & ~before_V, middle_V, high_V)
        has_V = low_V < self.start_V[1:]
        has_V[has_V] = self.row_E[low_V[has_V]] == row
        return np.flatnonzero(has_V)


def list_column(
    values: Sequence[str], row_E: NDArray[np.int32], code_E: NDArray[np.int32], num_rows: int
) -> ListColumn:
    """A list column from its pairs, in any order; a value that a row has twice counts once.

    In place where it can be: of a million rows there are ten million pairs.
    """
    key_E = code_E.astype(np.int64)
    key_E *= max(num_rows, 1)
    key_E += row_E
    key_E.sort()  # numpy's own `unique` takes ten times as long
    key_E = key_E[np.concatenate([np.ones(min(1, len(key_E)), bool), key_E[1:] != key_E[:-1]])]
    start_V = np.searchsorted(key_E, np.arange(len(values) + 1) * max(num_rows, 1))
    key_E %= max(num_rows, 1)
    used = np.flatnonzero(np.diff(start_V))
    rows = key_E.astype(np.int32)
    num_N = np.zeros(num_rows, np.int16)
    for code in used.tolist():  # no row is in one value twice; counting all at once takes 8 bytes
        num_N[rows[start_V[code] : start_V[code + 1]]] += 1
    return ListColumn(
        values=tuple(values[code] for code in used.tolist()),
        row_E=rows,
        start_V=np.append(start_V[used], len(key_E)).astype(np.int64),
        num_N=num_N,
    )


@dataclass(frozen=True, eq=False, slots=True)
class NumberColumn:
    """One measured value a row.

    Attributes:
        value_N: float32; NaN where the row has none.
        low: Least value; NaN where no row has one.
        high: Greatest value.
    """

    value_N: NDArray[np.float32]
    low: float
    high: float

    def rows_within(self, low: float | None, high: float | None) -> Rows:
        """Rows with a value from `low` to `high`, both included; None is no bound."""
        rows = ~np.isnan(self.value_N)
        if low is not None:
            rows &= self.value_N >= np.float32(low)
        if high is not None:
            rows &= self.value_N <= np.float32(high)
        return rows


def number_column(value_N: NDArray[np.float32]) -> NumberColumn:
    """A column with its bounds."""
    known = value_N[~np.isnan(value_N)]
    if not len(known):
        return NumberColumn(value_N, float("nan"), float("nan"))
    return NumberColumn(value_N, float(known.min()), float(known.max()))
