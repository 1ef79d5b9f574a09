"""The `diffusers` painter through the whole flow, in its supervised child process."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.generate import generate_dataset
from flows.work import open_work
from models.engines import PaintRequest
from models.images import decode_png, png_text, to_uint8
from models.painters.diffusion.config import DiffusersConfig
from storage.errors import EngineUnavailable
from storage.layout import Table
from storage.records import Report, View
from storage.releases import open_release, open_table
from tests.flows.conftest import tiny_plan
from tests.models.painters.diffusion.tiny_pipeline import save_tiny_pipeline


def test_generate_with_a_diffusers_pipeline_releases_what_it_paints(tmp_path: Path) -> None:
    model = save_tiny_pipeline(tmp_path / "checkpoint")
    config = DiffusersConfig(model=str(model), num_steps=2, guidance_scale=3.0)
    rules = {"prompt": "findings", "near_duplicate_max_distance": None}
    plan = tiny_plan(
        name="painted", target={"all": 8}, painter=config.model_dump(), image_rules=rules
    )
    root = str(tmp_path / "factory")
    release = generate_dataset(plan, root)
    assert release.complete
    assert release.num_accepted > 0

    dataset = open_work(root, "painted").dataset
    pairs = open_table(dataset.store, open_release(dataset.store, dataset.layout), Table.PAIRS)
    columns = ["sample_id", "findings", "impression", "view", "painted", "width_px"]
    row = pairs.to_table(columns=columns).to_pylist()[0]
    painted = row["painted"]
    assert (painted["engine"], painted["engine_revision"]) == ("diffusers", config.revision())
    assert painted["prompt"] == row["findings"]
    assert json.loads(painted["settings"])["guidance_scale"] == 3.0
    assert painted["engine_seconds"] > 0
    ((_, png),) = pairs.read_blobs("image", indices=[0])
    assert png
    assert png_text(png)["sample_id"] == row["sample_id"]
    request = PaintRequest(
        sample_id=row["sample_id"],
        seed=painted["seed"],
        prompt=painted["prompt"],
        report=Report(row["findings"], row["impression"]),
        entities=(),
        view=View(row["view"]),
    )
    (again,) = config.open().paint([request])
    difference = np.abs(to_uint8(again.pixels_HW).astype(int) - decode_png(png))
    assert difference.max() <= 1  # another batch may round otherwise


def test_generate_with_a_missing_checkpoint_ends_before_anything_is_written(tmp_path: Path) -> None:
    plan = tiny_plan(painter={"kind": "diffusers", "model": str(tmp_path / "absent")})
    with pytest.raises(EngineUnavailable, match="which is neither; correct the path"):
        generate_dataset(plan, str(tmp_path / "factory"))
    assert not (tmp_path / "factory").exists()
