"""Reads the columns of a released table that pages count and filter by, once, in batches."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from browser.columns import Column, NumberColumn, SingleColumn, number_column
from browser.entity_columns import (
    BATCH_ROWS,
    BATCHES_AHEAD,
    BUFFER_BYTES,
    PairsReading,
    finding_column,
    joined,
)
from browser.facets import (
    ENTITY,
    FINDING,
    GATE,
    NOT_STATED,
    age_band,
    tries_band,
)
from browser.table_index import TableIndex
from storage.layout import Table
from storage.tables import lance_errors

_SIGNATURE_DIGITS = 64
_TWIN = re.compile(r" from sample \d+$")  # a near-duplicate's measure names its twin
_SINGLE: dict[str, tuple[str, Callable[..., str]]] = {  # facet -> Lance column, its words
    "view": ("view", str),
    "sex": ("sex", str),
    "age": ("age_years", age_band),
    "split": ("split", str),
    "corpus": ("source_corpus", str),
    "tries": ("tries", tries_band),
    "unit": ("unit", str),
}
_ENGINES = {"writer": "written.engine", "painter": "painted.engine"}
_OF_REJECTS = {name: (name, str) for name in ("reason", "stage", "outcome")}
_PLAIN = ("sample_id", "index", "signature", "entities_found", "scores")


def read_index(dataset: lance.LanceDataset, table: Table) -> TableIndex:
    """The index of one version of a table; reads neither images nor texts."""
    singles = _SINGLE | (_OF_REJECTS if table is Table.REJECTS else {})
    plain = [*_PLAIN, *(column for column, _ in singles.values())]
    columns = {name: f"`{name}`" for name in plain} | _ENGINES
    reading = _Reading(singles)
    with lance_errors(dataset.uri):
        scanner = dataset.scanner(
            columns=columns,
            with_row_id=True,
            batch_size=BATCH_ROWS,
            batch_readahead=BATCHES_AHEAD,
            io_buffer_size=BUFFER_BYTES,
        )
        for batch in scanner.to_batches():
            reading.add(batch)
    return reading.finish()


class _Reading:
    """The parts of the columns read so far."""

    def __init__(self, singles: dict[str, tuple[str, Callable[..., str]]]) -> None:
        self._singles = {facet: _Single(words) for facet, (_, words) in singles.items()}
        self._columns = {facet: column for facet, (column, _) in singles.items()}
        for facet in _ENGINES:
            self._singles[facet], self._columns[facet] = _Single(str), facet
        self._entities, self._gates = PairsReading(), PairsReading()
        self._measures: dict[str, list[tuple[NDArray[np.int32], NDArray[np.float32]]]]
        self._measures = defaultdict(list)
        self._plain: dict[str, list[NDArray[Any]]] = defaultdict(list)
        self._num_rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        for facet, column in self._columns.items():
            self._singles[facet].add(batch[column])
        self._entities.add_entities(batch["entities_found"], self._num_rows)
        self._add_scores(batch["scores"])
        for name, column in (("index", "index"), ("row_id", "_rowid")):  # a view keeps the batch
            self._plain[name].append(batch[column].to_numpy().astype(np.int64, copy=True))
        self._plain["sample_id"].append(_id_words(batch["sample_id"]))
        signature_NW, has_image_N = _signature_words(batch["signature"])
        self._plain["signature"].append(signature_NW)
        self._plain["has_image"].append(has_image_N)
        self._num_rows += batch.num_rows

    def finish(self) -> TableIndex:
        entities = self._entities.column(self._num_rows)
        lists = {
            ENTITY: entities,
            FINDING: finding_column(entities),
            GATE: self._gates.column(self._num_rows),
        }
        facets: dict[str, Column] = {name: one.column() for name, one in self._singles.items()}
        return TableIndex(
            index_N=joined(self._plain["index"], np.int64),
            sample_NW=_words(self._plain.pop("sample_id", []), 2),
            signature_NW=_words(self._plain.pop("signature", []), 4),
            has_image_N=joined(self._plain["has_image"], np.bool_),
            row_id_N=joined(self._plain["row_id"], np.int64),
            facets=facets | lists,
            measures={name: self._measure(name) for name in sorted(self._measures)},
        )

    def _add_scores(self, lists: pa.ListArray) -> None:
        scores, parents = pc.list_flatten(lists), pc.list_parent_indices(lists)
        gates = pc.struct_field(scores, "gate")
        refused = pc.invert(pc.struct_field(scores, "passed"))
        self._gates.add(gates.filter(refused), parents.filter(refused), self._num_rows)
        measures = pc.struct_field(scores, "measure")
        names = pc.binary_join_element_wise(gates, measures, "/").dictionary_encode()
        codes = names.indices.to_numpy()
        rows = (parents.to_numpy() + self._num_rows).astype(np.int32)
        found = pc.struct_field(scores, "value").to_numpy(zero_copy_only=False)
        for code, name in enumerate(names.dictionary.to_pylist()):
            of_this = codes == code
            part = rows[of_this], found[of_this].astype(np.float32)
            self._measures[_TWIN.sub(" from its twin", name)].append(part)

    def _measure(self, name: str) -> NumberColumn:
        value_N = np.full(self._num_rows, np.nan, np.float32)
        for rows, values in self._measures[name]:
            value_N[rows] = values
        return number_column(value_N)


class _Single:
    """A column of one value a row, as codes of the values met so far."""

    def __init__(self, words: Callable[..., str]) -> None:
        self._words = words
        self._code_of: dict[str, int] = {}
        self._codes: list[NDArray[np.int32]] = []

    def add(self, column: pa.Array) -> None:
        encoded = column.dictionary_encode(null_encoding="encode")
        codes = [self._code(value) for value in encoded.dictionary.to_pylist()]
        self._codes.append(np.array(codes, np.int32)[encoded.indices.to_numpy()])

    def column(self) -> SingleColumn:
        return SingleColumn(tuple(self._code_of), joined(self._codes, np.int32))

    def _code(self, value: object) -> int:
        words = NOT_STATED if value is None else self._words(value)
        return self._code_of.setdefault(words, len(self._code_of))


def _words(parts: Sequence[NDArray[np.uint64]], num_words: int) -> NDArray[np.uint64]:
    """Parts (n, W) end to end as (N, W), each word's column in one piece."""
    words_WN = np.empty((num_words, sum(map(len, parts))), np.uint64)
    for word in range(num_words):
        words_WN[word] = joined([part[:, word] for part in parts], np.uint64)
    return words_WN.T


def _id_words(sample_ids: pa.Array) -> NDArray[np.uint64]:
    """Sample ids, 32 hex digits each, as words (N, 2)."""
    data = bytes.fromhex("".join(sample_ids.to_pylist()))
    return np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, 2)


def _signature_words(signatures: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Perceptual hashes, 64 hex digits each, as words (N, 4); and which rows have one."""
    has_image_N = pc.fill_null(pc.equal(pc.binary_length(signatures), _SIGNATURE_DIGITS), False)
    has_image_N = has_image_N.to_numpy(zero_copy_only=False)
    words_NW = np.zeros((len(signatures), 4), np.uint64)
    hashes = "".join(signatures.filter(pa.array(has_image_N)).to_pylist())
    words_NW[has_image_N] = np.frombuffer(bytes.fromhex(hashes), np.uint64).reshape(-1, 4)
    return words_NW, has_image_N
