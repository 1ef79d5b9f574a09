"""Ingest of the real OpenI archive and NIH images: time and memory.

Run from the project root: `python -m benchmarks.ingest [--data ../shared/data]`. Each source is
ingested in a process of its own, so that its peak memory is its own.
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

from storage.ingestion import corpus_reader, ingest
from storage.objects import LocalStore

SOURCES = {"openi": "openi", "nih": "nih"}  # kind of reader: folder of the data


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("CXR_SHARED_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default))
    options = parser.parse_args()
    figures: dict[str, object] = {"benchmark": "ingest"}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for kind, folder in SOURCES.items():
            figures[kind] = pool.apply(measure, (kind, options.data / folder))
    figures["python"] = platform.python_version()
    figures["cpus"] = os.cpu_count()
    sys.stdout.write(json.dumps(figures) + "\n")


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
    main()
