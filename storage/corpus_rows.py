"""A reader's rows on their way into Lance: as Arrow batches, counted, few held at once."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

import lance
import pyarrow as pa

from storage.corpus_info import MAX_LISTED, MAX_LISTED_EACH, IngestReport
from storage.readers.rows import CorpusReader, Skipped

MAX_BATCH_BYTES = 16 << 20  # of images handed to Lance at once, whatever their number


class RowBatches:
    """A reader's rows as Arrow batches, and what was kept and skipped.

    An error of the reader crosses Lance's writer and would come out of it as text: it is kept.
    """

    def __init__(self, reader: CorpusReader) -> None:
        self._reader = reader
        self._num_rows = 0
        self._counts: Counter[str] = Counter()
        self._listed: list[Skipped] = []
        self._batches = self._cut()
        self.error: Exception | None = None

    def any(self) -> bool:
        """Whether there is a row at all; reads the first batch, so nothing is written for none."""
        first = next(self._batches, None)
        if first is None:
            return False
        self._batches = chain([first], self._batches)
        return True

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, as many at a time as the reader says or fit `MAX_BATCH_BYTES`."""
        try:
            yield from self._batches
        except Exception as error:
            self.error = error
            raise

    def report(self) -> IngestReport:
        """What was kept and skipped so far."""
        return IngestReport(
            self._num_rows,
            self._counts.total(),
            tuple(self._listed),
            tuple(self._counts.most_common()),
        )

    def _cut(self) -> Iterator[pa.RecordBatch]:
        batch: list[dict[str, Any]] = []
        num_bytes = 0
        for row in self._kept():
            batch.append(row)
            num_bytes += len(row.get("image", b""))
            if len(batch) == self._reader.batch_rows or num_bytes >= MAX_BATCH_BYTES:
                yield _record_batch(batch, self._reader.schema)
                batch, num_bytes = [], 0
        if batch:
            yield _record_batch(batch, self._reader.schema)

    def _kept(self) -> Iterator[dict[str, Any]]:
        for row in self._reader.rows():
            if isinstance(row, Skipped):
                self._note(row)
            else:
                self._num_rows += 1
                yield row

    def _note(self, skipped: Skipped) -> None:
        """Count it, and name it unless many like it were named; of each kind at least one is."""
        self._counts[skipped.kind] += 1
        count = self._counts[skipped.kind]
        if count == 1 or (count <= MAX_LISTED_EACH and len(self._listed) < MAX_LISTED):
            self._listed.append(skipped)


def _record_batch(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = [_column([row[field.name] for row in rows], field) for field in schema]
    return pa.record_batch(columns, schema=schema)


def _column(values: list[Any], field: pa.Field) -> pa.Array:
    if field.type == lance.blob_field(field.name).type:
        assert all(values), f"{field.name}: a null or empty blob does not survive compaction"
        return lance.blob_array(values)
    return pa.array(values, field.type)
