"""A painter that a test holds and breaks by files in a folder, from a package of its own."""

import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lance
import pytest

from flows.plans import DatasetPlan
from flows.work import open_work
from storage.releases import open_release
from tests.flows.conftest import tiny_plan

PAINTER = """
    import os
    import time
    from pathlib import Path
    from typing import Literal
    from models.painters.configs import PhantomConfig

    class PatientConfig(PhantomConfig):
        kind: Literal["patient"] = "patient"

        def open(self):
            return PatientPainter(super().open())

    class PatientPainter:
        '''A phantom that fails as long as a file `broken` is there, and waits while `hold` is.'''

        def __init__(self, phantom):
            self.info, self.max_batch_size = phantom.info, phantom.max_batch_size
            self.close, self._phantom = phantom.close, phantom
            self._folder = Path(os.environ["PATIENT_FOLDER"])

        def paint(self, requests):
            if (self._folder / "broken").exists():
                raise RuntimeError("Xid 79: GPU has fallen off the bus")
            while (self._folder / "hold").exists():
                time.sleep(0.05)
            return self._phantom.paint(requests)
"""


@contextmanager
def patient_painter(folder: Path) -> Iterator[None]:
    """Put its package on every path, of this process and those that it starts.

    Args:
        folder: Where the painter looks for `hold` and `broken`.
    """
    site = folder / "site"
    info = site / "patient_painter-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "patient_painter.py").write_text(textwrap.dedent(PAINTER))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: patient-painter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[cxr_factory.painters]\npatient = patient_painter:PatientConfig\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        patch.setenv("PATIENT_FOLDER", str(folder))
        yield


def patient_plan(**changes: Any) -> DatasetPlan:
    """16 samples in two shards of two units, with a painter that can be held.

    Args:
        changes: Of its execution.
    """
    execution = {"shard_units": 2, "num_processes": 1, "retry_delay_seconds": 0.0}
    painter = {"kind": "patient", "image_size_px": 64}
    execution |= {"unit_retries": 0} | changes
    return tiny_plan(target={"all": 16}, painter=painter, execution=execution)


def identities(root: Path) -> set[tuple[str, str]]:
    """Every pair of the complete release, with its image's hash."""
    work = open_work(str(root), "tiny")
    release = open_release(work.dataset.store, work.dataset.layout)
    assert release.complete
    pairs = lance.dataset(root / "datasets/tiny/pairs.lance")
    rows = pairs.to_table(columns=["sample_id", "sha256"]).to_pylist()
    assert len(rows) == release.num_accepted > 0
    return {(row["sample_id"], row["sha256"]) for row in rows}
