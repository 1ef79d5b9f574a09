"""Bring real data in: `corpora/<name>.lance`, whole or not at all.

All rows are written first; the manifest, put if absent, makes them visible at once together with
the ingest's own report. Of racing ingests one wins.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
from lance.fragment import write_fragments

from storage.corpora import corpus_info
from storage.corpus_info import CorpusInfo, IngestReport, info_metadata
from storage.corpus_rows import RowBatches
from storage.errors import FactoryError
from storage.layout import corpus_table
from storage.objects import ObjectStore
from storage.readers.chexpert import ChexpertReader
from storage.readers.covidx import CovidxReader
from storage.readers.folder import NOT_STATED, FolderReader
from storage.readers.folder_columns import FolderColumns
from storage.readers.kinds import CorpusKind
from storage.readers.mimic import MimicReader
from storage.readers.nih import NihReader
from storage.readers.object_cxr import ObjectCxrReader
from storage.readers.openi import OpeniReader
from storage.readers.padchest import PadchestReader
from storage.readers.rows import DEFAULT_FRACTIONS, CorpusReader, check_fractions
from storage.readers.rsna import RsnaReader
from storage.readers.siim import SiimReader
from storage.readers.vindr import VindrReader
from storage.table_schemas import DATA_STORAGE_VERSION
from storage.tables import lance_errors

_STABLE_IDS: dict[str, Any] = {"enable_stable_row_ids": True}

Fractions = tuple[float, float, float]
_WITH_OFFICIAL_SPLIT: dict[CorpusKind, Callable[[Path], CorpusReader]] = {
    CorpusKind.MIMIC: MimicReader,
    CorpusKind.CHEXPERT: ChexpertReader,
    CorpusKind.PADCHEST: PadchestReader,
    CorpusKind.COVIDX: CovidxReader,
    CorpusKind.OBJECT_CXR: ObjectCxrReader,
    CorpusKind.VINDR: VindrReader,
}
_SPLIT_HERE: dict[CorpusKind, Callable[[Path, Fractions], CorpusReader]] = {
    CorpusKind.OPENI: OpeniReader,
    CorpusKind.RSNA: RsnaReader,
    CorpusKind.SIIM: SiimReader,
}


def corpus_reader(
    kind: str,
    source: Path,
    fractions: Fractions | None = None,
    *,
    columns: FolderColumns | None = None,
    licence: str | None = None,
) -> CorpusReader:
    """The reader of a kind of source.

    Args:
        kind: One of `CorpusKind`.
        source: File or folder as it was downloaded.
        fractions: Of train, validation and test patients; the default ones when None.
        columns: Of a folder's CSV.
        licence: Of a folder; the other kinds know theirs.

    Raises:
        ValueError: If no reader is called so, the source is missing, or an option does not fit.
    """
    if kind not in tuple(CorpusKind):
        raise ValueError(f"ingest: kind must be one of {', '.join(CorpusKind)}; got {kind!r}")
    named = CorpusKind(kind)
    if not source.exists():
        raise ValueError(
            f"ingest {kind}: expected a file or folder, got {str(source)!r}, which does not exist"
        )
    if named is not CorpusKind.FOLDER and (columns or licence):
        raise ValueError(f"ingest {kind}: columns and licence are known; name them for a folder")
    shares = fractions or DEFAULT_FRACTIONS
    check_fractions(shares)
    if named is CorpusKind.FOLDER:
        return FolderReader(source, shares, columns or FolderColumns(), licence or NOT_STATED)
    if named is CorpusKind.NIH:
        return NihReader(source, fractions)
    if named in _SPLIT_HERE:
        return _SPLIT_HERE[named](source, shares)
    if fractions:
        raise ValueError(f"ingest {kind}: keeps the official split, got fractions {fractions!r}")
    return _WITH_OFFICIAL_SPLIT[named](source)


def ingest(
    store: ObjectStore, name: str, reader: CorpusReader, *, restricted: bool | None = None
) -> IngestReport:
    """Bring a source in as `corpora/<name>.lance`; a second ingest of the same finds it done.

    Args:
        store: The root.
        name: Of the corpus.
        reader: Of the source.
        restricted: Whether the corpus is credentialed data; None: as its collection is known.

    Raises:
        ValueError: If the name is taken by another source or another ingest of this one, the
            source is not what its reader expects, or not one row could be read.
        StoreUnavailable: If the store refuses to write.
    """
    wanted = _wanted(reader, restricted)
    if (found := corpus_info(store, name)) is not None:
        return _require_same(name, found, wanted)
    rows = RowBatches(reader)
    if not rows.any():
        raise ValueError(_nothing_read(name, reader, rows.report()))
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
    info = replace(wanted, report=report)
    if _commit(store, name, reader.schema.with_metadata(info_metadata(info)), fragments):
        _delete_leftovers(store, name, fragments)
        return report
    found = corpus_info(store, name)
    assert found is not None, "what refused the put is there"
    return _require_same(name, found, wanted)


def _write(store: ObjectStore, name: str, schema: pa.Schema, rows: RowBatches) -> list[Any]:
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


def _wanted(reader: CorpusReader, restricted: bool | None) -> CorpusInfo:
    return CorpusInfo(
        collection=reader.collection,
        licence=reader.licence,
        restricted=reader.restricted if restricted is None else restricted,
        source_sha256=reader.source_hash(),
        fractions=reader.fractions,
        report=IngestReport(0, 0, ()),
    )


def _require_same(name: str, found: CorpusInfo, wanted: CorpusInfo) -> IngestReport:
    """The report of the ingest that made the corpus, if it was of this source."""
    differs = [
        f"{field} {getattr(found, field)!r}, got {getattr(wanted, field)!r}"
        for field in ("collection", "source_sha256", "fractions", "restricted", "licence")
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
