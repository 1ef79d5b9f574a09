"""Bring real data in: `corpora/<name>.lance`, whole or not at all.

All rows are written first; the manifest, put if absent, makes them visible at once together with
the ingest's own report. Of racing ingests one wins.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
from lance.fragment import write_fragments

from storage.corpora import (
    MAX_LISTED,
    CorpusInfo,
    IngestReport,
    corpus_info,
    info_metadata,
)
from storage.errors import FactoryError
from storage.layout import corpus_table
from storage.objects import ObjectStore
from storage.readers.nih import NihReader
from storage.readers.openi import OpeniReader
from storage.readers.rows import DEFAULT_FRACTIONS, CorpusReader, Skipped, check_fractions
from storage.table_schemas import DATA_STORAGE_VERSION
from storage.tables import lance_errors

_STABLE_IDS: dict[str, Any] = {"enable_stable_row_ids": True}

Fractions = tuple[float, float, float]
_READERS: dict[str, Callable[[Path, Fractions], CorpusReader]] = {
    "openi": OpeniReader,
    "nih": NihReader,
}


def corpus_reader(
    kind: str, source: Path, fractions: Fractions = DEFAULT_FRACTIONS
) -> CorpusReader:
    """The reader of a kind of source.

    Raises:
        ValueError: If no reader is called so, the source is missing, or the fractions are none.
    """
    if kind not in _READERS:
        raise ValueError(f"ingest: kind must be one of {', '.join(_READERS)}; got {kind!r}")
    if not source.exists():
        raise ValueError(
            f"ingest {kind}: expected a file or folder, got {str(source)!r}, which does not exist"
        )
    check_fractions(fractions)
    return _READERS[kind](source, fractions)


def ingest(
    store: ObjectStore, name: str, reader: CorpusReader, *, restricted: bool = False
) -> IngestReport:
    """Bring a source in as `corpora/<name>.lance`; a second ingest of the same finds it done.

    Args:
        store: The root.
        name: Of the corpus.
        reader: Of the source.
        restricted: Mark the corpus as credentialed data.

    Raises:
        ValueError: If the name is taken by another source or another ingest of this one, the
            source is not what its reader expects, or not one row could be read.
        StoreUnavailable: If the store refuses to write.
    """
    wanted = _wanted(reader, restricted)
    if (found := corpus_info(store, name)) is not None:
        return _require_same(name, found, wanted)
    rows = _Rows(reader)
    uri = store.uri(corpus_table(name))
    try:
        with lance_errors(uri):
            fragments = _write(store, name, reader.schema, rows)
    except FactoryError:
        if rows.error is not None:  # not Lance's: the reader's, which came through it as text
            raise rows.error from None
        if (found := corpus_info(store, name)) is not None:  # a racing ingest was first
            return _require_same(name, found, wanted)
        raise
    report = rows.report()
    if not report.num_rows:
        raise ValueError(_nothing_read(name, reader, report))
    info = replace(wanted, report=report)
    if _commit(store, name, reader.schema.with_metadata(info_metadata(info)), fragments):
        _delete_leftovers(store, name, fragments)
        return report
    found = corpus_info(store, name)
    assert found is not None, "what refused the put is there"
    return _require_same(name, found, wanted)


class _Rows:
    """A reader's rows as Arrow batches, counting; few are held at once.

    An error of the reader crosses Lance's writer and would come out of it as text: it is kept.
    """

    def __init__(self, reader: CorpusReader) -> None:
        self._reader = reader
        self._num_rows = 0
        self._num_skipped = 0
        self._listed: list[Skipped] = []
        self.error: Exception | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, `batch_rows` at a time."""
        try:
            rows = self._kept()
            while batch := list(islice(rows, self._reader.batch_rows)):
                yield _record_batch(batch, self._reader.schema)
        except Exception as error:
            self.error = error
            raise

    def report(self) -> IngestReport:
        """What was kept and skipped so far."""
        return IngestReport(self._num_rows, self._num_skipped, tuple(self._listed))

    def _kept(self) -> Iterator[dict[str, Any]]:
        for row in self._reader.rows():
            if isinstance(row, Skipped):
                self._num_skipped += 1
                if len(self._listed) < MAX_LISTED:
                    self._listed.append(row)
            else:
                self._num_rows += 1
                yield row


def _record_batch(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = [_column([row[field.name] for row in rows], field) for field in schema]
    return pa.record_batch(columns, schema=schema)


def _column(values: list[Any], field: pa.Field) -> pa.Array:
    if field.type == lance.blob_field(field.name).type:
        assert all(values), f"{field.name}: a null or empty blob does not survive compaction"
        return lance.blob_array(values)
    return pa.array(values, field.type)


def _write(store: ObjectStore, name: str, schema: pa.Schema, rows: _Rows) -> list[Any]:
    """Write the data files; nothing is visible yet."""
    transaction = write_fragments(
        pa.RecordBatchReader.from_batches(schema, rows.batches()),
        store.uri(corpus_table(name)),
        schema=schema,
        mode="create",
        return_transaction=True,
        data_storage_version=DATA_STORAGE_VERSION,
        **_STABLE_IDS,
        storage_options=store.storage_options,
    )
    operation: Any = transaction.operation  # an Overwrite, which names the fragments
    return list(operation.fragments)


def _commit(store: ObjectStore, name: str, schema: pa.Schema, fragments: list[Any]) -> bool:
    """Make the first and only version; False when another ingest made it.

    The manifest is made in a scratch folder and put if absent: Lance's own commit, when it comes
    late, may try again over what is there.
    """
    with tempfile.TemporaryDirectory(prefix="cxr-factory-") as scratch:
        operation = lance.LanceOperation.Overwrite(schema, fragments)
        with lance_errors(store.uri(corpus_table(name))):
            lance.LanceDataset.commit(f"{scratch}/corpus.lance", operation, **_STABLE_IDS)
        (manifest,) = Path(scratch).glob("corpus.lance/_versions/*.manifest")
        key = f"{corpus_table(name)}/_versions/{manifest.name}"
        return store.put_if_absent(key, manifest.read_bytes())


def _delete_leftovers(store: ObjectStore, name: str, fragments: list[Any]) -> None:
    """Delete what killed or late ingests wrote: no manifest can come to name it any more."""
    kept = {Path(file.path).stem for fragment in fragments for file in fragment.files}
    prefix = f"{corpus_table(name)}/data/"
    for found in list(store.list(prefix)):  # `<stem>.lance`, and large blobs as `<stem>/<blob>`
        stem = found.key.removeprefix(prefix).split("/")[0].removesuffix(".lance")
        if stem not in kept:
            store.delete(found.key)


def _wanted(reader: CorpusReader, restricted: bool) -> CorpusInfo:
    return CorpusInfo(
        collection=reader.collection,
        licence=reader.licence,
        restricted=restricted,
        source_sha256=reader.source_hash(),
        fractions=reader.fractions,
        report=IngestReport(0, 0, ()),
    )


def _require_same(name: str, found: CorpusInfo, wanted: CorpusInfo) -> IngestReport:
    """The report of the ingest that made the corpus, if it was of this source."""
    differs = [
        f"{field} {getattr(found, field)!r}, got {getattr(wanted, field)!r}"
        for field in ("collection", "source_sha256", "fractions", "restricted")
        if getattr(found, field) != getattr(wanted, field)
    ]
    if differs:
        raise ValueError(
            f"corpus {name!r} exists already with {'; '.join(differs)}; "
            "give the other source another name"
        )
    return found.report


def _nothing_read(name: str, reader: CorpusReader, report: IngestReport) -> str:
    first = "; ".join(f"{entry.member}: {entry.reason}" for entry in report.skipped[:3])
    return (
        f"corpus {name!r}: expected at least one readable row of {reader.collection}, got none of "
        f"{report.num_skipped} ({first or 'the source is empty'}); nothing was made, "
        "check the download"
    )
