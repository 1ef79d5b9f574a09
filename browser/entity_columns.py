"""Columns of entities: those that rows state or were asked for, and the findings among them."""

from collections.abc import Iterable
from typing import Any, TypeVar

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from browser.columns import ListColumn, list_column
from browser.facets import ENTITY_SEPARATOR
from models.vocabulary.concepts import load_vocabulary
from storage.records import EntityKind
from storage.tables import lance_errors

Scalar = TypeVar("Scalar", bound=np.generic)
BATCH_ROWS, BATCHES_AHEAD = 1 << 13, 2  # Lance's own 16 batches and 2 GiB are much to hold
BUFFER_BYTES = 64 << 20


class PairsReading:
    """A column of many values a row, as pairs of a row and a code of the values met so far."""

    def __init__(self) -> None:
        self._code_of: dict[str, int] = {}
        self._codes: list[NDArray[np.int32]] = []
        self._rows: list[NDArray[np.int32]] = []

    def add(self, values: pa.Array, parents: pa.Array, first_row: int) -> None:
        """Values of a batch, each with the row of the batch that it stands in."""
        encoded = values.dictionary_encode()
        known = self._code_of
        codes = [known.setdefault(one, len(known)) for one in encoded.dictionary.to_pylist()]
        self._codes.append(np.array(codes, np.int32)[encoded.indices.to_numpy()])
        self._rows.append((parents.to_numpy() + first_row).astype(np.int32))

    def add_entities(self, lists: pa.ListArray, first_row: int) -> None:
        """The entities of a batch, as "kind:text"."""
        entities = pc.list_flatten(lists)
        values = pc.binary_join_element_wise(
            pc.struct_field(entities, "kind"), pc.struct_field(entities, "text"), ENTITY_SEPARATOR
        )
        self.add(values, pc.list_parent_indices(lists), first_row)

    def column(self, num_rows: int) -> ListColumn:
        """All that was added; nothing is left."""
        rows, codes = joined(self._rows, np.int32), joined(self._codes, np.int32)
        self._rows, self._codes = [], []
        return list_column(tuple(self._code_of), rows, codes, num_rows)


def read_entities(dataset: lance.LanceDataset, column: str) -> ListColumn:
    """The entities of every row, by the name of their column: requested or found."""
    reading, num_rows = PairsReading(), 0
    with lance_errors(dataset.uri):
        scanner = dataset.scanner(
            columns=[column],
            batch_size=BATCH_ROWS,
            batch_readahead=BATCHES_AHEAD,
            io_buffer_size=BUFFER_BYTES,
        )
        for batch in scanner.to_batches():
            reading.add_entities(batch[column], num_rows)
            num_rows += batch.num_rows
    return reading.column(num_rows)


def finding_of(kind: str, text: str) -> str | None:
    """The ChestX-ray14 finding that an entity states as present or possible; None for others."""
    concept = load_vocabulary().lookup(text)
    if concept is None or concept.finding is None or EntityKind(kind).is_negated:
        return None
    return str(concept.finding)


def finding_column(entities: ListColumn) -> ListColumn:
    """The ChestX-ray14 findings that rows state, as present or as possible."""
    names: list[str] = []
    rows: list[NDArray[np.int32]] = []
    codes: list[NDArray[np.int32]] = []
    for code, value in enumerate(entities.values):
        kind, _, text = value.partition(ENTITY_SEPARATOR)
        finding = finding_of(kind, text)
        if finding is None:
            continue
        if finding not in names:
            names.append(finding)
        rows.append(entities.rows_of(code))
        codes.append(np.full(len(rows[-1]), names.index(finding), np.int32))
    return list_column(names, joined(rows, np.int32), joined(codes, np.int32), entities.num_rows)


def joined(parts: Iterable[NDArray[Any]], dtype: type[Scalar]) -> NDArray[Scalar]:
    """Arrays end to end; an empty one of none."""
    listed = list(parts)
    return np.concatenate(listed).astype(dtype, copy=False) if listed else np.zeros(0, dtype)
