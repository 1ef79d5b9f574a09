"""Pairs of a released Lance table, for training.

The rows of a split are taken in the order of their `index`, not of the table: the order in which
units were published depends on chance, what was published does not.
Lance is not fork-safe: worker processes are spawned and open the table themselves.

Shape suffixes: N pairs, B batch, S image side.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.vlp.images import training_image
from storage.errors import StoreUnavailable
from storage.records import Split

COLUMNS = ("sample_id", "index", "split", "findings", "impression")
IMAGE_COLUMN = "image"
DECODE_BATCH = 64  # rows per read: long enough to plan the read, short enough to share out


def no_options() -> None:
    """A folder needs none."""


@dataclass(frozen=True, slots=True)
class PairSource:
    """One version of one table of pairs; opened by whoever reads, so it travels to workers.

    Attributes:
        uri: Folder or `s3://bucket/prefix` of the table.
        version: Released version; None reads the latest.
        storage_options: Says what Lance needs now to reach the table. Asked at every opening,
            since credentials expire, and by worker processes too, so it must pickle.
    """

    uri: str
    version: int | None = None
    storage_options: Callable[[], Mapping[str, str] | None] = no_options

    def open(self) -> Any:
        """The Lance dataset at this version.

        Raises:
            StoreUnavailable: If there is no such table or version; says which.
        """
        import lance

        found = self.storage_options()
        options = dict(found) if found else None
        try:
            return lance.dataset(self.uri, version=self.version, storage_options=options)
        except (ValueError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise StoreUnavailable(
                f"pairs must be a Lance table at {self.uri!r} version {self.version!r}, "
                f"got: {reason}; name the table and version of a release"
            ) from error


@dataclass(frozen=True, slots=True)
class PairTexts:
    """The text half of a split, in order of `index`. Entry i of each belongs to pair i.

    Attributes:
        rows: Position of the pair in the table, for `read_blobs`.
        sample_ids: Ids of the samples.
        findings: Findings sections.
        impressions: Impression sections.
    """

    rows: NDArray[np.int64]
    sample_ids: tuple[str, ...]
    findings: tuple[str, ...]
    impressions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


def read_texts(source: PairSource, split: Split, among: Collection[str] | None = None) -> PairTexts:
    """The reports of one split.

    Args:
        source: The released pairs table.
        split: Whose pairs.
        among: Ids of the samples to stay within; None for all.

    Raises:
        ValueError: If the table lacks a column, or the split has no pair.
        StoreUnavailable: If there is no such table.
    """
    dataset = source.open()
    missing = [name for name in (*COLUMNS, IMAGE_COLUMN) if name not in dataset.schema.names]
    if missing:
        raise ValueError(
            f"{source.uri} must have the columns of a pairs table, lacks {', '.join(missing)}; "
            "name the pairs table of a release"
        )
    table = dataset.to_table(columns=list(COLUMNS))
    of_split = np.asarray(table["split"].to_pylist()) == split.value
    if among is not None:
        of_split &= np.array([one in among for one in table["sample_id"].to_pylist()], bool)
    rows = np.flatnonzero(of_split)
    if len(rows) == 0:
        num_pairs = len(of_split) if among is None else len(among)
        raise ValueError(
            f"{source.uri} must hold {split.value} pairs, got none among {num_pairs}; "
            "generate more, take more of them, or plan a larger share for this split"
        )
    rows = rows[np.argsort(table["index"].to_numpy()[rows], kind="stable")]
    taken = table.take(rows)
    return PairTexts(
        rows,
        tuple(taken["sample_id"].to_pylist()),
        tuple(text or "" for text in taken["findings"].to_pylist()),
        tuple(text or "" for text in taken["impression"].to_pylist()),
    )


class PairImages(Protocol):
    """Where image batches come from."""

    def batches(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[Tensor]:
        """Images of each batch of pair numbers, in order, uint8 (B, 1, S, S)."""
        ...


class ImagesInMemory:
    """Every image decoded once, kept at training size."""

    def __init__(self, images_N1SS: Tensor) -> None:
        self.images_N1SS = images_N1SS

    def batches(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[Tensor]:
        """Images of each batch of pair numbers, in order."""
        for pairs in batches:
            yield self.images_N1SS[torch.from_numpy(pairs)]


class ReadableImages(ABC, Dataset[Tensor]):
    """Pair number to image, a whole batch at a time."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitems__(self, pairs: Sequence[int]) -> Tensor:
        """Images of some pairs, uint8 (B, 1, S, S), in the order asked."""

    def __getitem__(self, pair: int) -> Tensor:
        return self.__getitems__([pair])[0]


class ImagesOnDemand:
    """Images read and decoded by spawned workers (or in this process when there are none)."""

    def __init__(self, dataset: ReadableImages, num_workers: int) -> None:
        self.dataset = dataset
        self.num_workers = num_workers

    def batches(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[Tensor]:
        """Images of each batch of pair numbers, in order."""
        spawned: dict[str, Any] = {"multiprocessing_context": "spawn", "prefetch_factor": 4}
        loader: DataLoader[Tensor] = DataLoader(
            self.dataset,
            batch_sampler=[pairs.tolist() for pairs in batches],
            num_workers=self.num_workers,
            collate_fn=_as_they_come,
            **(spawned if self.num_workers else {}),
        )
        yield from loader


class BlobImages(ReadableImages):
    """The images of one table. Opens it at its first read."""

    def __init__(self, source: PairSource, texts: PairTexts, size_px: int) -> None:
        self.source = source
        self.rows = texts.rows
        self.sample_ids = texts.sample_ids
        self.size_px = size_px

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, pairs: Sequence[int]) -> Tensor:
        """Images of some pairs, uint8 (B, 1, S, S), in the order asked."""
        blobs = self._read(self.rows[list(pairs)].tolist())
        images = [
            training_image(png or b"", self.size_px, f"sample {self.sample_ids[pair]}")
            for pair, (_, png) in zip(pairs, blobs, strict=True)
        ]
        return torch.from_numpy(np.stack(images)[:, None])

    def _read(self, rows: list[int]) -> Any:
        try:
            return self._blobs(rows)
        except OSError:  # credentials may have run out since the table was opened: open it anew
            self.__dict__.pop("_table", None)
        try:
            return self._blobs(rows)
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise StoreUnavailable(f"{self.source.uri}: images cannot be read: {reason}") from error

    def _blobs(self, rows: list[int]) -> Any:
        return self._table.read_blobs(IMAGE_COLUMN, indices=rows, preserve_order=True)

    @functools.cached_property
    def _table(self) -> Any:
        return self.source.open()


def open_images(
    source: PairSource, texts: PairTexts, size_px: int, num_workers: int, memory_limit_mib: int
) -> PairImages:
    """Images of a split: in memory if they fit the limit at training size, else on demand."""
    images = BlobImages(source, texts, size_px)
    return held_or_on_demand(images, size_px, num_workers, memory_limit_mib)


def held_or_on_demand(
    dataset: ReadableImages, size_px: int, num_workers: int, memory_limit_mib: int
) -> PairImages:
    """Images in memory if they fit the limit at training size, else read as they are needed."""
    if len(dataset) * size_px**2 > memory_limit_mib * 2**20:
        return ImagesOnDemand(dataset, num_workers)
    chunks = [
        range(start, min(start + DECODE_BATCH, len(dataset)))
        for start in range(0, len(dataset), DECODE_BATCH)
    ]
    with ThreadPoolExecutor() as threads:  # Lance and Pillow both release the interpreter's lock
        return ImagesInMemory(torch.cat(list(threads.map(dataset.__getitems__, chunks))))


def _as_they_come(batch: Any) -> Any:
    """Batches leave `__getitems__` whole."""
    return batch
