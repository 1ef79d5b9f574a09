"""An engine from a package outside the tree is used by naming it in a plan."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import lance
import pytest
import yaml

from tests.flows.conftest import tiny_plan

PAINTER = """
    import numpy as np
    from typing import ClassVar, Literal
    from models.engines import EngineConfig, EngineInfo, PaintedImage, Placement

    class StripesConfig(EngineConfig):
        placement: ClassVar[Placement] = Placement.PROCESS_PER_GPU_GROUP
        kind: Literal["stripes"] = "stripes"

        def revision(self) -> str:
            return "1"

        def open(self):
            return StripesPainter()

    class StripesPainter:
        info = EngineInfo("stripes", "1", deterministic=True)
        max_batch_size = 4

        def paint(self, requests):
            return [self._one(request.seed) for request in requests]

        def _one(self, seed):
            random = np.random.default_rng(seed)
            pixels = random.integers(30, 220, (64, 64)).astype(np.uint8)
            return PaintedImage(pixels, (), 0.0)

        def close(self):
            pass
"""


@pytest.fixture
def outside_package(tmp_path: Path) -> Path:
    """A distribution with one module and an entry point, as pip would lay it out."""
    folder = tmp_path / "site"
    info = folder / "stripes_painter-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "stripes_painter.py").write_text(textwrap.dedent(PAINTER))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stripes-painter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[cxr_factory.painters]\nstripes = stripes_painter:StripesConfig\n"
    )
    return folder


def test_painter_from_another_package_paints_a_release(
    outside_package: Path, tmp_path: Path
) -> None:
    plan = tiny_plan(name="striped", painter={"kind": "phantom"}).model_dump(mode="json")
    plan["painter"] = {"kind": "stripes"}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    root = tmp_path / "factory"
    done = subprocess.run(
        [Path(sys.executable).parent / "cxr-factory", "generate", "plan.yaml", "--root", root],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(outside_package)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    painted = lance.dataset(root / "datasets/striped/pairs.lance").to_table(columns=["painted"])
    assert {row["engine"] for row in painted["painted"].to_pylist()} == {"stripes"}
