"""Digests: ledger records of many units put down once more, together, so that few reads find all.

A digest is no truth of its own. Its records stand each in its own file and never change, so a
digest never grows stale, and any of them may be deleted. Its name is the hash of its bytes: two
writers with the same records put the same object, and a damaged one shows. Its folder is the hash
of its columns: digests of a version whose records had other fields are passed over.
"""

import hashlib
import io

import pyarrow as pa

from storage.errors import DamagedObject
from storage.layout import DatasetLayout
from storage.ledger_records import LedgerRecord
from storage.objects import ObjectStore
from storage.records import Stage
from storage.schemas import arrow_schema
from storage.settled import SettledRecords

_SCHEMA = arrow_schema(LedgerRecord)
_COLUMNS = "\n".join(str(field) for field in _SCHEMA)
_FOLDER = hashlib.sha256(_COLUMNS.encode()).hexdigest()[:12]


def is_digest(layout: DatasetLayout, stage: Stage, key: str) -> bool:
    """Whether a listed key is a digest that this version reads."""
    return key.startswith(f"{layout.digests_folder(stage)}{_FOLDER}/") and key.endswith(".arrow")


def write_digest(
    store: ObjectStore, layout: DatasetLayout, stage: Stage, records: SettledRecords
) -> str:
    """Put a digest of these records if it is absent; returns its key."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    table = records.table.combine_chunks()
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    data = sink.getvalue()
    key = layout.digest(stage, _FOLDER, hashlib.sha256(data).hexdigest())
    store.put_if_absent(key, data)
    return key


def read_digest(store: ObjectStore, key: str) -> SettledRecords:
    """The records of a digest.

    Raises:
        DamagedObject: If its bytes are not those that it is named by.
    """
    data = store.get(key)
    if hashlib.sha256(data).hexdigest() != key.rpartition("/")[2].removesuffix(".arrow"):
        raise DamagedObject(
            f"{store.uri(key)}: expected bytes with the sha256 in its name, got others; "
            "delete it, the records it was made of stand beside it"
        )
    with pa.ipc.open_file(pa.BufferReader(data)) as reader:
        return SettledRecords(reader.read_all())
