"""What comparing a dataset's images has found, put down so that nobody compares them again.

A million images take up to a minute of CPU. What is found among the first k of them follows from
those k alone, whatever comes after them. So it is put down under a name made of k and of a hash of
what was compared, and who comes next begins behind the longest that is of the same images. Nothing
depends on it: any may be deleted, and two that compare the same put the same object.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.errors import DamagedObject
from storage.hash_bands import Words
from storage.layout import DatasetLayout
from storage.near_duplicates import NOTHING_KNOWN, KnownTwins, Twin, find_twins
from storage.objects import ObjectStore

FEWEST_IMAGES = 20_000  # that are worth an object: they are compared in a second
_NAME = re.compile(r"(\d+)-([0-9a-f]{64})-([0-9a-f]{64})\.arrow")
_SCHEMA = pa.schema({"index": pa.int64(), "twin": pa.int64(), "distance": pa.int16()})


@dataclass(frozen=True, slots=True)
class _PutDown:
    """An object with what was found among the first images."""

    key: str
    num_images: int
    images: str
    sha256: str


class Comparisons:
    """Compares the images of one dataset, from where an earlier comparison ended."""

    def __init__(self, store: ObjectStore, layout: DatasetLayout) -> None:
        self._store = store
        self._layout = layout
        self._unwritten: tuple[str, bytes] | None = None

    def find(
        self, words_NW: Words, index_N: NDArray[np.int64], max_distance: int
    ) -> dict[int, Twin]:
        """As `find_twins`.

        Raises:
            DamagedObject: If what was put down is no longer what its name says.
        """
        if len(index_N) < FEWEST_IMAGES:
            return find_twins(words_NW, index_N, max_distance)
        folder = self._layout.comparisons_folder(max_distance)
        known = self._longest_known(folder, words_NW, index_N, max_distance)
        twins = find_twins(words_NW, index_N, max_distance, known)
        if len(index_N) - known.num_samples >= FEWEST_IMAGES:
            data = _encode(twins)
            images, sha256 = _hash_of(words_NW, index_N), hashlib.sha256(data).hexdigest()
            self._unwritten = f"{folder}{len(index_N)}-{images}-{sha256}.arrow", data
        return twins

    def put_down(self) -> None:
        """Keep what the last `find` had to compare, where it was much."""
        if self._unwritten is not None:
            self._store.put_if_absent(*self._unwritten)
            self._unwritten = None

    def _longest_known(
        self, folder: str, words_NW: Words, index_N: NDArray[np.int64], max_distance: int
    ) -> KnownTwins:
        for found in sorted(self._list(folder), key=lambda one: -one.num_images):
            num = found.num_images
            if num <= len(index_N) and found.images == _hash_of(words_NW[:num], index_N[:num]):
                return KnownTwins(num, self._read(found, max_distance))
        return NOTHING_KNOWN

    def _list(self, folder: str) -> Iterator[_PutDown]:
        for info in self._store.list(folder):
            if name := _NAME.fullmatch(info.key.removeprefix(folder)):
                yield _PutDown(info.key, int(name[1]), name[2], name[3])

    def _read(self, found: _PutDown, max_distance: int) -> dict[int, Twin]:
        data = self._store.get(found.key)
        if hashlib.sha256(data).hexdigest() != found.sha256:
            raise DamagedObject(
                f"{self._store.uri(found.key)}: expected bytes with the second sha256 in its name, "
                "got others; delete it, the images are then compared again"
            )
        with pa.ipc.open_file(pa.BufferReader(data)) as reader:
            columns = [column.to_pylist() for column in reader.read_all().columns]
        return {
            index: Twin(twin, distance, max_distance)
            for index, twin, distance in zip(*columns, strict=True)
        }


def _hash_of(words_NW: Words, index_N: NDArray[np.int64]) -> str:
    """Of which samples were compared, and of their hashes."""
    hashed = hashlib.sha256(np.ascontiguousarray(index_N, np.int64).data)
    hashed.update(np.ascontiguousarray(words_NW, np.uint64).data)
    return hashed.hexdigest()


def _encode(twins: dict[int, Twin]) -> bytes:
    in_order = sorted(twins.items())
    columns = [
        [index for index, _ in in_order],
        [twin.index for _, twin in in_order],
        [twin.distance for _, twin in in_order],
    ]
    table = pa.table([pa.array(column) for column in columns], names=_SCHEMA.names).cast(_SCHEMA)
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, _SCHEMA, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()
