"""Engines of benchmarks, made known as an installed package's are: by an entry point."""

import os
import sys
from pathlib import Path


def install_engine(folder: Path, seam: str, kind: str, config: str) -> None:
    """Register an engine for this process and for those that it starts.

    Args:
        folder: Gets the package's metadata, and comes on every path; the project root does too.
        seam: As "painters".
        kind: Names the engine in a plan.
        config: Where its config class is, as "benchmarks.overhead:SleepingConfig".
    """
    info = folder / f"{kind}_engine-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {kind}-engine\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[cxr_factory.{seam}]\n{kind} = {config}\n")
    paths = [str(folder), str(Path(__file__).parent.parent)]
    sys.path[:0] = paths
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *([before] if before else [])])
