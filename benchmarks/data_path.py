"""Images/s that reach a trainer from Lance, from tar shards (WebDataset) and from Parquet.

The same PNGs, decoding, batches and number of worker processes for all, an epoch each by turns:

- `lance`: the trainer's own loader, in a true global shuffle;
- `webdataset`: tar shards of 1,000 in random order, through a shuffle buffer of 1,000;
- `parquet`: files of 1,000 streamed by `datasets`, in random order, through such a buffer too;
- `arrow`: what `datasets` does with Parquet unless it streams: turned into Arrow files first (not
  counted in), then mapped into memory, in a true global shuffle.

Rates are taken once workers have started, after the first `WARM_UP_BATCHES`. On a busy machine
images/s say little: `cpu_ms_per_image` counts what this process and its workers computed.

Run with `python -m benchmarks.data_path [--images 20000] [--workers 2] [--repeats 3]`; prints one
JSON line. Twenty thousand images take 2.6 GB of temporary files.
"""

import argparse
import io
import itertools
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lance
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from models.vlp.data import BlobImages, ImagesOnDemand, PairSource, read_texts
from models.vlp.images import training_image
from storage.records import Split

IMAGE_SIDE_PX = 224
NOISE = 3.0  # grey levels; gives PNGs of 33 kB, NIH's images at this size take 25
BATCH_SIZE = 128
SHARD_SIZE = 1000  # images
SHUFFLE_BUFFER = 1000  # images
WARM_UP_BATCHES = 10
MEMORY_EPOCHS = 3


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over all images."""

    images_per_second: float
    cpu_ms_per_image: float
    first_batch_seconds: float


def main() -> None:
    """Write the same images in every format, read each by turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if given.images < 2 * WARM_UP_BATCHES * BATCH_SIZE:
        parser.error(f"--images must be at least {2 * WARM_UP_BATCHES * BATCH_SIZE}")
    os.environ["HF_HUB_OFFLINE"] = "1"  # before datasets is imported
    with tempfile.TemporaryDirectory(prefix="data-path-") as name:
        folder = Path(name)
        bytes_per_image = write_all(given.images, folder)
        loaders: dict[str, Callable[[int], Iterable[Tensor]]] = {
            "lance": lance_loader(folder, given.workers, 1),
            "webdataset": webdataset_loader(folder, given.workers),
            "parquet": parquet_loader(folder, given.workers),
            "arrow": arrow_loader(folder, given.workers),
        }
        epochs: dict[str, list[Epoch]] = {name: [] for name in loaders}
        for repeat in range(given.repeats):
            for loader, read in loaders.items():
                epochs[loader].append(measure(read(repeat), given.images))
        memory_mib = worker_memory(folder, given.workers, given.images)
    sys.stdout.write(json.dumps(figures(given, bytes_per_image, epochs, memory_mib)) + "\n")


def figures(
    given: argparse.Namespace,
    bytes_per_image: float,
    epochs: dict[str, list[Epoch]],
    memory_mib: Sequence[float],
) -> dict[str, Any]:
    """The best epoch of each, and Lance against the others."""
    rate = {name: max(one.images_per_second for one in runs) for name, runs in epochs.items()}
    cpu = {name: min(one.cpu_ms_per_image for one in runs) for name, runs in epochs.items()}
    others = [name for name in epochs if name != "lance"]
    return {
        "benchmark": "data_path",
        "images_per_second": {name: round(value) for name, value in rate.items()},
        "cpu_ms_per_image": {name: round(value, 3) for name, value in cpu.items()},
        "first_batch_seconds": {
            name: round(min(one.first_batch_seconds for one in runs), 1)
            for name, runs in epochs.items()
        },
        "lance_rate_over": {name: round(rate["lance"] / rate[name], 3) for name in others},
        "lance_cpu_rate_over": {name: round(cpu[name] / cpu["lance"], 3) for name in others},
        "lance_worker_mib_after_epoch": [round(one) for one in memory_mib],
        "worker_processes_left": len(workers()),
        "images": given.images,
        "bytes_per_image": round(bytes_per_image),
        "workers": given.workers,
        "repeats": given.repeats,
        "load_average": round(os.getloadavg()[0], 1),
        "cpu_count": os.cpu_count(),
    }


def measure(batches: Iterable[Tensor], num_images: int) -> Epoch:
    """Read an epoch, and count from the batch after the warm-up on."""
    began = time.perf_counter()
    counted, first_batch, warm, cpu_before = 0, 0.0, 0.0, 0.0
    cpu_after = 0.0
    for number, images_B1SS in enumerate(batches):
        assert images_B1SS.dtype is torch.uint8 and images_B1SS.shape[-1] == IMAGE_SIDE_PX
        counted += len(images_B1SS)
        if number == 0:
            first_batch = time.perf_counter() - began
        if number == WARM_UP_BATCHES - 1:
            warm, cpu_before, uncounted = time.perf_counter(), cpu_seconds(), counted
        if counted == num_images:  # workers are there still
            cpu_after = cpu_seconds()
    seconds, images = time.perf_counter() - warm, num_images - uncounted
    assert counted == num_images, f"every image once, got {counted} of {num_images}"
    return Epoch(images / seconds, 1000 * (cpu_after - cpu_before) / images, first_batch)


def worker_memory(folder: Path, num_workers: int, num_images: int) -> list[float]:
    """MiB that all workers of the Lance loader hold to themselves after each of three epochs."""
    counted, held = 0, []
    for images_B1SS in lance_loader(folder, num_workers, MEMORY_EPOCHS)(0):
        counted += len(images_B1SS)
        if counted % num_images == 0:
            held.append(sum(one.memory_full_info().uss for one in workers()) / 2**20)
    return held


def workers() -> list[psutil.Process]:
    """Loading processes below this one; multiprocessing's own bookkeeper is none."""
    below = psutil.Process().children(recursive=True)
    return [one for one in below if "resource_tracker" not in " ".join(one.cmdline())]


def cpu_seconds() -> float:
    """Of this process and those below it, so far."""
    times = [one.cpu_times() for one in (psutil.Process(), *workers())]
    return sum(one.user + one.system for one in times)


def lance_loader(
    folder: Path, num_workers: int, num_epochs: int
) -> Callable[[int], Iterable[Tensor]]:
    """The trainer's: all steps' batches are known before it begins, each epoch in a new order."""
    source = PairSource(str(folder / "pairs.lance"))
    texts = read_texts(source, Split.TRAIN)
    images = ImagesOnDemand(BlobImages(source, texts, IMAGE_SIDE_PX), num_workers)

    def read(seed: int) -> Iterator[Tensor]:
        return images.batches(shuffled(len(texts), num_epochs, seed))

    return read


def webdataset_loader(folder: Path, num_workers: int) -> Callable[[int], Iterable[Tensor]]:
    """As its documentation has it: shards shuffled, a buffer, batches made in the workers."""
    import webdataset as wds

    shards = sorted(map(str, folder.glob("*.tar")))

    def read(seed: int) -> Iterable[Tensor]:
        rows = wds.WebDataset(shards, shardshuffle=len(shards), seed=seed)
        rows = rows.shuffle(SHUFFLE_BUFFER).to_tuple("png").map_tuple(decode)
        return in_workers(rows.batched(BATCH_SIZE, collation_fn=from_tuples), num_workers)

    return read


def parquet_loader(folder: Path, num_workers: int) -> Callable[[int], Iterable[Tensor]]:
    """Streamed: files are shared out among workers and read as they are."""
    from datasets import load_dataset

    rows = load_dataset(
        "parquet", data_files=files_of(folder), split="train", streaming=True, cache_dir=str(folder)
    )

    def read(seed: int) -> Iterable[Tensor]:
        mixed = rows.shuffle(seed=seed, buffer_size=SHUFFLE_BUFFER)
        return in_workers(mixed, num_workers, batch_size=BATCH_SIZE, collate_fn=from_rows)

    return read


def arrow_loader(folder: Path, num_workers: int) -> Callable[[int], Iterable[Tensor]]:
    """Not streamed: Arrow files mapped into memory."""
    from datasets import load_dataset

    rows = load_dataset(
        "parquet", data_files=files_of(folder), split="train", cache_dir=str(folder)
    )

    def read(seed: int) -> Iterable[Tensor]:
        batches = [pairs.tolist() for pairs in shuffled(len(rows), 1, seed)]
        return in_workers(rows, num_workers, batch_sampler=batches, collate_fn=from_rows)

    return read


def in_workers(rows: Any, num_workers: int, **settings: Any) -> Iterable[Tensor]:
    """A loader of torch, its workers begun as those of the trainer's."""
    settings = {"batch_size": None} | settings
    if "batch_sampler" in settings:
        del settings["batch_size"]
    return DataLoader(
        rows,
        num_workers=num_workers,
        multiprocessing_context="spawn",
        prefetch_factor=4,
        **settings,
    )


def shuffled(num_images: int, num_epochs: int, seed: int) -> list[NDArray[np.int64]]:
    """Batches of every epoch, each image once in each."""
    random = np.random.default_rng(seed)
    ends = range(BATCH_SIZE, num_images, BATCH_SIZE)
    epochs = (np.split(random.permutation(num_images), ends) for _ in range(num_epochs))
    return list(itertools.chain.from_iterable(epochs))


def decode(png: bytes) -> NDArray[np.uint8]:
    """What the trainer does with a stored image."""
    return training_image(png, IMAGE_SIDE_PX, "benchmark")


def from_tuples(rows: Sequence[tuple[NDArray[np.uint8]]]) -> Tensor:
    """WebDataset's samples as a batch, uint8 (B, 1, S, S)."""
    return torch.from_numpy(np.stack([image for (image,) in rows])[:, None])


def from_rows(rows: Sequence[dict[str, bytes]]) -> Tensor:
    """Rows of `datasets` as a batch, uint8 (B, 1, S, S)."""
    return torch.from_numpy(np.stack([decode(row["png"]) for row in rows])[:, None])


def files_of(folder: Path) -> list[str]:
    """The Parquet files."""
    return sorted(map(str, folder.glob("*.parquet")))


def write_all(num_images: int, folder: Path) -> float:
    """The same images as a Lance table of pairs, as tar shards and as Parquet; mean bytes of one.

    A shard at a time, so that memory stays small.
    """
    total = 0
    for number, start in enumerate(range(0, num_images, SHARD_SIZE)):
        names = range(start, min(start + SHARD_SIZE, num_images))
        pngs = [noise_png(np.random.default_rng([0, name])) for name in names]
        total += sum(map(len, pngs))
        write_tar(names, pngs, folder / f"{number:04}.tar")
        pq.write_table(pa.table({"png": pngs}), folder / f"{number:04}.parquet", compression="none")
        append_lance(names, pngs, folder / "pairs.lance")
    return total / num_images


def write_tar(names: Iterable[int], pngs: Iterable[bytes], path: Path) -> None:
    """One shard as WebDataset reads it."""
    with tarfile.open(path, "w") as tar:
        for name, png in zip(names, pngs, strict=True):
            member = tarfile.TarInfo(f"{name:08}.png")
            member.size = len(png)
            tar.addfile(member, io.BytesIO(png))


def append_lance(names: Sequence[int], pngs: Sequence[bytes], folder: Path) -> None:
    """Rows of a pairs table, in fragments as large as a release's."""
    table = pa.table(
        {
            "sample_id": [f"{name:032x}" for name in names],
            "index": np.asarray(names, np.int64),
            "split": ["train"] * len(names),
            "findings": ["No effusion."] * len(names),
            "impression": ["Nothing acute."] * len(names),
        }
    )
    table = table.append_column(lance.blob_field("image"), lance.blob_array(list(pngs)))
    mode = "append" if folder.exists() else "create"
    lance.write_dataset(table, folder, mode=mode, data_storage_version="2.2")


def noise_png(random: np.random.Generator) -> bytes:
    """A grey image that compresses about as badly as a radiograph."""
    coarse = random.integers(0, 256, (16, 16), dtype=np.uint8)
    size = (IMAGE_SIDE_PX, IMAGE_SIDE_PX)
    smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    grain = random.standard_normal(size, np.float32) * NOISE
    buffer = io.BytesIO()
    image = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
