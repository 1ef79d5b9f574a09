"""The nearest_real gate on a real Lance table: copies and strangers are told from neighbours."""

from pathlib import Path

import lance
import numpy as np
import pytest

from models.encoders.seam import Matrix, handcrafted_encoder
from models.engines import PaintedImage, PaintRequest
from models.gates.configs import NearestRealConfig
from models.gates.examples import disturbed
from models.gates.real_images import (
    RealImages,
    RealImagesOrigin,
    add_index,
    content_hash,
    write_real_images,
)
from models.gates.spoiling import spoil
from models.gates.thresholds import calibrate_distances
from storage.errors import DamagedObject, EngineUnavailable
from storage.records import RejectionReason, Report, Verdict, View
from tests.models.encoders.tiny_checkpoints import save_dinov2


def image(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A ramp with a few soft spots of its own, and a detector's noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    grey = 60.0 + rows
    for y, x, level in random.uniform((8, 8, 20), (56, 56, 60), (6, 3)):
        grey += level * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 60)
    grey += random.normal(0, 6, grey.shape)
    return grey.clip(0, 255).astype(np.uint8)


def table(folder: Path, num_images: int = 60) -> str:
    encoder = handcrafted_encoder()
    embeddings = encoder.open().embed([image(seed) for seed in range(num_images)])
    ids = [f"real{seed}" for seed in range(num_images)]
    digest = content_hash(ids, embeddings)
    origin = RealImagesOrigin(encoder.kind, encoder.revision(), "mine", False, digest)
    write_real_images(str(folder / "real.lance"), ids, embeddings, origin)
    return str(folder / "real.lance")


def check(config: NearestRealConfig, seeds_as: list[tuple[str, Matrix]]) -> list[Verdict]:
    requests = [PaintRequest(name, 0, "", Report("", ""), (), View.PA) for name, _ in seeds_as]
    painted = [PaintedImage(pixels, (), 0.0) for _, pixels in seeds_as]
    return config.open().check(requests, painted)


def test_gate_rejects_copies_and_strangers_and_names_the_neighbour(tmp_path: Path) -> None:
    config = NearestRealConfig(index=table(tmp_path), min_distance=0.2, max_distance=0.6)
    random = np.random.default_rng(0)
    texture = spoil(image(101), "texture", random, "china.jpg")
    broken = np.full((8, 8), np.nan, np.float32)
    found = check(
        config,
        [("a", disturbed(image(7), random)), ("b", image(101)), ("c", texture), ("d", broken)],
    )
    assert [verdict.reason for verdict in found] == [
        RejectionReason.MEMORISED,
        None,
        RejectionReason.UNLIKE_REAL,
        RejectionReason.NOT_FINITE,
    ]
    scores = {score.measure: score for score in found[0].scores}
    assert scores["distance_at_least"].threshold == 0.2
    assert not scores["distance_at_least"].passed
    assert scores["distance_at_most"].threshold == 0.6
    assert (scores["neighbour_row"].value, scores["neighbour_row"].threshold) == (7, 60)


def test_image_of_the_corpus_is_not_its_own_neighbour(tmp_path: Path) -> None:
    config = NearestRealConfig(index=table(tmp_path), min_distance=0.2, max_distance=1.9)
    as_its_own, as_another = check(config, [("real7", image(7)), ("painted", image(7))])
    assert as_its_own.passed
    assert as_another.reason is RejectionReason.MEMORISED
    assert as_another.scores[0].value == pytest.approx(0, abs=1e-3)


def test_index_finds_what_comparing_all_finds(tmp_path: Path) -> None:
    path = table(tmp_path, 300)
    probes = handcrafted_encoder().open().embed([image(seed) for seed in range(290, 320)])
    own = ["real290"] + [""] * 29
    compared = RealImages(path).nearest(probes, own)
    add_index(lance.dataset(path))
    opened = RealImages(path)
    assert opened._all_MD is None, "an indexed table is not read whole"
    by_index = opened.nearest(probes, own)
    assert [one.row for one in by_index] == [one.row for one in compared]
    distances = [one.distance for one in compared]
    assert [one.distance for one in by_index] == pytest.approx(distances, abs=1e-4)


def test_table_of_another_encoder_is_refused_in_one_line(tmp_path: Path) -> None:
    config = NearestRealConfig.model_validate(
        {
            "index": table(tmp_path, 5),
            "min_distance": 0.1,
            "max_distance": 1,
            "encoder": {"kind": "transformers", "model": str(save_dinov2(tmp_path / "dino"))},
        }
    )
    with pytest.raises(EngineUnavailable, match="the gate's is transformers of revision") as no:
        config.revision()
    assert "\n" not in str(no.value)


def test_table_missing_or_of_something_else_is_refused(tmp_path: Path) -> None:
    thresholds = {"min_distance": 0.1, "max_distance": 1.0}
    absent = NearestRealConfig(index=str(tmp_path / "none"), **thresholds)
    with pytest.raises(EngineUnavailable, match="make it with `cxr-factory calibrate`"):
        absent.revision()
    path = str(tmp_path / "other.lance")
    lance.write_dataset(lance.dataset(table(tmp_path, 5)).to_table().select(["row"]), path)
    lance.dataset(path).replace_schema_metadata({})
    with pytest.raises(DamagedObject, match="says nothing of its encoder"):
        NearestRealConfig(index=path, **thresholds).revision()


def test_distances_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be less than max_distance, got 0\.5 and 0\.4"):
        NearestRealConfig(index="x", min_distance=0.5, max_distance=0.4)


def test_calibrated_distances_accept_what_was_asked_of_other_patients() -> None:
    random = np.random.default_rng(0)
    real = random.uniform(0.3, 0.9, 4000).astype(np.float32)
    patients = [f"p{n // 2}" for n in range(4000)]
    copies, spoiled = (random.normal(mean, 0.01, 100).astype(np.float32) for mean in (0.1, 1.2))
    found = calibrate_distances(real, patients, copies, spoiled, 0.9, 0)
    assert found.acceptance == pytest.approx(0.9, abs=0.03)
    assert found.min_distance == pytest.approx(0.33, abs=0.02)
    assert (found.copies_rejected, found.spoiled_rejected) == (1.0, 1.0)
    with pytest.raises(ValueError, match="expected at least 10 images of either half"):
        calibrate_distances(real[:12], patients[:12], copies, spoiled, 0.9, 0)
