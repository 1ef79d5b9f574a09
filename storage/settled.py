"""The settled records of one stage as columns: those of a million samples in 100 MB."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.errors import DamagedObject
from storage.ledger_records import LedgerRecord
from storage.records import Outcome, RejectionReason
from storage.schemas import arrow_schema, from_arrow, to_arrow

OUTCOMES = tuple(Outcome)
REASONS = tuple(RejectionReason)
NO_REASON = -1
_ROWS_AT_ONCE = 256  # records made from columns together, where all are walked through


@dataclass(frozen=True, eq=False, slots=True)
class OutcomeColumns:
    """How samples left a stage, one element per record and sample (N).

    Attributes:
        number_N: int64, of the record's unit, or of its unit's round.
        index_N: int64, of the sample.
        outcome_N: int8, position in `OUTCOMES`.
        reason_N: int8, position in `REASONS`; -1 for none.
        signatures: Perceptual hashes, string; empty where there is no image.
    """

    number_N: NDArray[np.int64]
    index_N: NDArray[np.int64]
    outcome_N: NDArray[np.int8]
    reason_N: NDArray[np.int8]
    signatures: pa.ChunkedArray


class SettledRecords(Mapping[int, LedgerRecord]):
    """Unit to record, in order of unit. A record is made of its columns when it is asked for."""

    def __init__(self, table: pa.Table) -> None:
        """Take rows of `arrow_schema(LedgerRecord)`; of several rows of a unit, one."""
        units, rows = np.unique(table["unit"].to_numpy(), return_index=True)
        in_order = len(rows) == table.num_rows and bool((np.diff(rows) > 0).all())
        self.table = table if in_order else table.take(rows)
        self.units: NDArray[np.int64] = units

    @classmethod
    def of(cls, records: Iterable[LedgerRecord]) -> "SettledRecords":
        """These records."""
        return cls(to_arrow(records, LedgerRecord))

    def joined(self, others: Sequence["SettledRecords"]) -> "SettledRecords":
        """These and others; a unit that several have stands in them all alike."""
        if not others:
            return self
        return SettledRecords(pa.concat_tables([self.table, *(one.table for one in others)]))

    def among(self, units: Collection[int]) -> "SettledRecords":
        """Only those of some units."""
        wanted = np.isin(self.units, np.fromiter(units, np.int64, len(units)))
        return self if wanted.all() else SettledRecords(self.table.filter(pa.array(wanted)))

    @cached_property
    def outcomes(self) -> OutcomeColumns:
        """The outcomes of all records, as columns.

        Raises:
            DamagedObject: If one is of no kind that this version knows.
        """
        lists = self.table["outcomes"]
        lengths = pc.list_value_length(lists).to_numpy()
        samples = pc.list_flatten(lists)
        return OutcomeColumns(
            number_N=np.repeat(self.units, lengths),
            index_N=pc.struct_field(samples, "index").to_numpy(),
            outcome_N=_codes(pc.struct_field(samples, "outcome"), OUTCOMES),
            reason_N=_codes(pc.struct_field(samples, "reason"), REASONS),
            signatures=pc.struct_field(samples, "signature"),
        )

    def files(self) -> dict[int, str]:
        """Unit to the key of the staged file that its record names."""
        return dict(zip(self, self.table["file"].to_pylist(), strict=True))

    def __getitem__(self, unit: int) -> LedgerRecord:
        row = int(np.searchsorted(self.units, unit))
        if row == len(self.units) or self.units[row] != unit:
            raise KeyError(unit)
        (record,) = from_arrow(self.table.slice(row, 1), LedgerRecord)
        return record

    def __iter__(self) -> Iterator[int]:
        return iter(self.units.tolist())

    def __len__(self) -> int:
        return len(self.units)

    def values(self) -> ValuesView[LedgerRecord]:
        """Every record, in order of unit: faster than one by one, and never all at once."""
        return _Records(self)


class _Records(ValuesView[LedgerRecord]):
    def __init__(self, settled: SettledRecords) -> None:
        super().__init__(settled)
        self._table = settled.table

    def __iter__(self) -> Iterator[LedgerRecord]:
        for first in range(0, self._table.num_rows, _ROWS_AT_ONCE):
            yield from from_arrow(self._table.slice(first, _ROWS_AT_ONCE), LedgerRecord)


NO_RECORDS = SettledRecords(arrow_schema(LedgerRecord).empty_table())


def _codes(names: pa.ChunkedArray, members: Sequence[StrEnum]) -> NDArray[np.int8]:
    """The position of each name in an enumeration, -1 for null."""
    found = pc.index_in(names, value_set=pa.array([str(one) for one in members]))
    if found.null_count != names.null_count:
        raise DamagedObject(
            f"ledger: expected outcomes of kinds {', '.join(members)}, got others too; "
            "they were recorded by a newer version: install it"
        )
    codes: NDArray[np.int8] = pc.fill_null(found, NO_REASON).to_numpy().astype(np.int8)
    return codes
