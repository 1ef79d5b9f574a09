"""Ingest of real reports and images and of a made folder of many images: time and memory.

Run from the project root: `python -m benchmarks.ingest [--data ../shared/data]`. Each source is
ingested in a process of its own, so that its peak memory is its own. Ends with status 1 when a
peak is over the limit.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from storage.ingestion import corpus_reader, ingest
from storage.objects import LocalStore

LIMIT_MIB = 1024
NUM_IMAGES = 10_000
IMAGE_SIDE_PX = 256
NUM_DISTINCT = 50  # pictures painted; the files are as many as asked
REPORT = "FINDINGS: The lungs are clear in image {n}.\nIMPRESSION: No acute disease."


def main() -> int:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("CXR_SHARED_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--images", type=int, default=NUM_IMAGES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = {kind: options.data / kind for kind in ("openi", "nih")}
        sources["folder"] = make_folder(Path(folder), options.images)
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            measured = {kind: pool.apply(measure, (kind, sources[kind])) for kind in sources}
    peak = max(figures["peak_mib"] for figures in measured.values())
    machine = {"python": platform.python_version(), "cpus": os.cpu_count()}
    limits = {"limit_mib": LIMIT_MIB, "peak_mib": peak, "within_limit": peak < LIMIT_MIB}
    sys.stdout.write(json.dumps({"benchmark": "ingest"} | measured | limits | machine) + "\n")
    return 0 if peak < LIMIT_MIB else 1


def make_folder(folder: Path, num_images: int) -> Path:
    """A CSV and PNG images of noise, which no codec makes smaller than a radiograph."""
    random = np.random.default_rng(0)
    shape = (NUM_DISTINCT, IMAGE_SIDE_PX, IMAGE_SIDE_PX)
    for number, pixels in enumerate(random.integers(0, 256, shape, dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)
    lines = ["image,patient_id,text,labels,view"]
    for number in range(num_images):
        name = f"{number}.png"
        if number >= NUM_DISTINCT:
            (folder / name).hardlink_to(folder / f"{number % NUM_DISTINCT}.png")
        lines.append(f'{name},{number // 2},"{REPORT.format(n=number)}",Edema|Mass,PA')
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def measure(kind: str, source: Path) -> dict[str, float]:
    """Ingest one source into a fresh root, then again."""
    with tempfile.TemporaryDirectory() as root:
        store = LocalStore(root)
        before_mib = peak_mib()
        started = time.perf_counter()
        report = ingest(store, kind, corpus_reader(kind, source))
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        ingest(store, kind, corpus_reader(kind, source))
        return {
            "rows": report.num_rows,
            "skipped": report.num_skipped,
            "seconds": round(seconds, 2),
            "seconds_when_done_already": round(time.perf_counter() - started, 3),
            "peak_mib": round(peak_mib()),
            "peak_mib_before": round(before_mib),
        }


def peak_mib() -> float:
    """Peak resident memory of this process, MiB (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
