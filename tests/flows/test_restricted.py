"""What derives from a restricted corpus goes to no other host that the plan does not name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.plan_sources import is_restricted, pinned_corpora
from models.encoders.seam import handcrafted_encoder
from models.gates.real_images import RealImagesOrigin, write_real_images
from storage.objects import open_store
from tests.flows.conftest import tiny_plan
from tests.models.painters.diffusion.tiny_pipeline import tiny_pipeline
from tests.storage.readers.made_files import make_mimic

ELSEWHERE = {"kind": "endpoint", "address": "http://llm.example.org/v1", "model": "tiny"}


def test_restricted_entities_to_an_endpoint_elsewhere_are_refused(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    ingest_corpus("mimic", str(make_mimic(tmp_path / "mimic")), "mimic", root)
    plan = tiny_plan(name="leak", entities={"kind": "corpus", "corpus": "mimic"}, writer=ELSEWHERE)
    with pytest.raises(ValueError, match=r"restricted, got the endpoint host 'llm\.example\.org'"):
        generate_dataset(plan, root)
    assert not (tmp_path / "root" / "datasets").exists()


def gate_of_real_images(folder: Path, *, restricted: bool) -> dict[str, Any]:
    """A nearest_real gate that keeps whatever is no copy."""
    encoder = handcrafted_encoder()
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    origin = RealImagesOrigin(encoder.kind, encoder.revision(), "mine", restricted, "0" * 64)
    path = str(folder / f"real-{restricted}.lance")
    write_real_images(path, ["a", "b", "c"], encoder.open().embed(list(images)), origin)
    return {"kind": "nearest_real", "index": path, "min_distance": 0.0, "max_distance": 2.0}


def test_gate_of_restricted_images_marks_the_release(tmp_path: Path) -> None:
    gates = {"gates": [gate_of_real_images(tmp_path, restricted=True)]}
    plan = tiny_plan(name="gated", target={"all": 4}, image_rules=gates)
    assert generate_dataset(plan, str(tmp_path / "root")).restricted
    open_gates = {"gates": [gate_of_real_images(tmp_path, restricted=False)]}
    plan = tiny_plan(name="open", target={"all": 4}, image_rules=open_gates)
    assert not generate_dataset(plan, str(tmp_path / "root")).restricted


def test_painter_of_restricted_images_has_its_endpoint_refused(tmp_path: Path) -> None:
    folder = tmp_path / "painter"
    tiny_pipeline().save_pretrained(folder)
    plan = tiny_plan(
        name="leak", painter={"kind": "diffusers", "model": str(folder)}, writer=ELSEWHERE
    )
    store = open_store(str(tmp_path / "root"))
    assert not is_restricted(pinned_corpora(plan, store))
    (folder / "training.json").write_text(json.dumps({"restricted": True}))
    assert is_restricted(pinned_corpora(plan, store))
    with pytest.raises(ValueError, match=r"restricted, got the endpoint host 'llm\.example\.org'"):
        generate_dataset(plan, str(tmp_path / "root"))
