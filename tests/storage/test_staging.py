import hashlib
from dataclasses import replace

import pyarrow as pa
import pytest

from storage.errors import DamagedObject, ObjectMissing
from storage.objects import LocalStore
from storage.records import NOT_FOR_CLINICAL_USE, ImageRow, Stage
from storage.staging import read_staged, write_staged
from tests.storage.made import LAYOUT, image_row, quarantined_row


def test_staged_rows_read_back_exactly(store: LocalStore) -> None:
    rows = [image_row(0), quarantined_row(1)]
    staged = write_staged(store, LAYOUT, Stage.PAINT, 0, "a1", rows, ImageRow)
    data = store.get(staged.key)
    assert (staged.num_bytes, staged.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert read_staged(store, staged, ImageRow) == rows
    assert pa.ipc.open_file(data).schema.metadata[b"notice"] == NOT_FOR_CLINICAL_USE.encode()


def test_staged_same_rows_same_bytes(store: LocalStore) -> None:
    rows = [image_row(0)]
    one = write_staged(store, LAYOUT, Stage.PAINT, 0, "a1", rows, ImageRow)
    other = write_staged(store, LAYOUT, Stage.PAINT, 0, "a2", rows, ImageRow)
    assert one.sha256 == other.sha256


def test_staged_one_flipped_bit_is_refused(store: LocalStore) -> None:
    staged = write_staged(store, LAYOUT, Stage.PAINT, 0, "a1", [image_row(0)], ImageRow)
    data = bytearray(store.get(staged.key))
    data[len(data) // 2] ^= 1
    store.put(staged.key, bytes(data))
    with pytest.raises(DamagedObject, match=r"expected \d+ bytes with sha256"):
        read_staged(store, staged, ImageRow)


def test_staged_missing_file_is_refused(store: LocalStore) -> None:
    staged = write_staged(store, LAYOUT, Stage.PAINT, 0, "a1", [image_row(0)], ImageRow)
    with pytest.raises(ObjectMissing):
        read_staged(store, replace(staged, key=LAYOUT.staged(Stage.PAINT, 0, "a2")), ImageRow)
