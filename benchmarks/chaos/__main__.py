"""Everything of a fleet is killed at random while it makes datasets: what holds in the end?

    python -m benchmarks.chaos --kills 60 [--datasets 20] [--seed 0]

A real Prefect server, its workers, a real S3 server for half of the datasets. The last two of them
are painted by engines that do not promise the same again: phantoms under a noise that no seed
repeats, and the `diffusers` painter with a small pipeline of random weights. Prints one JSON line;
exit status 1 if a dataset breaks a promise, or a slot was held by the dead for more than two
minutes. What is killed, when, is said on standard error.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.chaos.painters import python_path
from tests.storage.seaweed import BUCKET, seaweedfs, use_server

_LEAST_DATASETS = 4  # two that can be compared with undisturbed ones, and two that cannot


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--datasets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="Keeps data and logs; default: a scratch folder.")
    parser.add_argument("--deadline", type=float, default=5400.0, help="In seconds, of all.")
    arguments = parser.parse_args()
    if arguments.datasets < _LEAST_DATASETS or arguments.datasets % 2:
        parser.error(
            f"--datasets must be even and {_LEAST_DATASETS} or more, got {arguments.datasets}"
        )
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")  # before Prefect is imported
    from benchmarks.chaos.whole import chaos

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started ends
    with (
        tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as scratch,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(arguments.folder or scratch)
        (folder / "s3").mkdir(parents=True)
        path = python_path(folder / "site")
        for place in reversed(path.split(os.pathsep)):
            patch.syspath_prepend(place)
        with seaweedfs(folder / "s3") as server:
            use_server(patch, server)
            line = chaos(
                folder,
                f"s3://{BUCKET}/chaos",
                path,
                num_kills=arguments.kills,
                num_datasets=arguments.datasets,
                seed=arguments.seed,
                deadline_seconds=arguments.deadline,
            )
    sys.stdout.write(json.dumps(line) + "\n")
    sys.exit(1 if line["failures"] else 0)


if __name__ == "__main__":
    main()
