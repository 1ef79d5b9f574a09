"""The similarity gate: calibrated on half of the patients, it judges the images of the others."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.engines import PaintedImage, PaintRequest, engine_config
from models.gates.bank import load_bank, save_bank
from models.gates.calibration import calibrate_bank
from models.gates.configs import SimilarityConfig
from models.gates.handcrafted import NUM_FEATURES, embed
from storage.errors import DamagedObject, EngineUnavailable
from storage.records import RejectionReason, Report, View

REQUEST = PaintRequest("id", 0, "", Report("", ""), (), View.PA)
Pixels = NDArray[np.uint8]


def calibrated(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    good = rng.normal(0, 1, (60, NUM_FEATURES)).astype(np.float32)
    bad = rng.normal(2, 1, (60, NUM_FEATURES)).astype(np.float32)
    names = [str(index) for index in range(60)]
    path = tmp_path / "bank.safetensors"
    save_bank(calibrate_bank(good, bad, names, names), path)
    return path


def test_calibrate_separable_banks_reach_what_was_asked(tmp_path: Path) -> None:
    figures = load_bank(calibrated(tmp_path)).calibration
    assert figures.acceptance >= 0.95
    assert figures.recall == 1.0


def test_calibrate_empty_bank_is_refused() -> None:
    good = np.zeros((60, 4), np.float32)
    with pytest.raises(ValueError, match="bank of bad images must hold more than 25, got 0"):
        calibrate_bank(good, good[:0], ["a"] * 60, [])


def test_bank_missing_is_one_clear_line(tmp_path: Path) -> None:
    config = SimilarityConfig(bank=str(tmp_path / "none"))
    with pytest.raises(EngineUnavailable, match="which does not exist; make it with"):
        config.revision()


def test_bank_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    path.write_bytes(b"no bank at all")
    with pytest.raises(DamagedObject, match="calibrate it again"):
        load_bank(path)


def test_revision_changes_with_the_bank(tmp_path: Path) -> None:
    path = calibrated(tmp_path)
    settings = {"kind": "similarity", "bank": str(path)}
    before = engine_config("image_gates", settings).revision()
    path.write_bytes(path.read_bytes() + b" ")
    assert engine_config("image_gates", settings).revision() != before


@pytest.mark.data
def test_gate_judges_other_patients(shared_data: Path, tmp_path: Path) -> None:
    paths = sorted((shared_data / "nih" / "images").iterdir())[::4]
    images = [np.asarray(Image.open(path).convert("L")) for path in paths]
    patients = [path.name[:8] for path in paths]
    names = sorted(set(patients))
    seen = [index for index, name in enumerate(patients) if name in names[::2]]
    held = [index for index, name in enumerate(patients) if name not in names[::2]]
    good = np.stack([embed(images[index]) for index in seen])
    bad = np.stack([embed(spoiled(images[index], index)) for index in seen])
    owners = [patients[index] for index in seen]
    path = tmp_path / "bank.safetensors"
    save_bank(calibrate_bank(good, bad, owners, owners), path)
    gate = SimilarityConfig(bank=str(path)).open()

    def reason(pixels: Pixels) -> RejectionReason | None:
        return gate.check(REQUEST, PaintedImage(pixels, (), 0.0)).reason

    accepted = np.mean([reason(images[index]) is None for index in held])
    caught = np.mean([reason(spoiled(images[index], index)) is not None for index in held])
    assert accepted >= 0.9
    assert caught >= 0.9


def spoiled(pixels: Pixels, index: int) -> Pixels:
    return (np.rot90(pixels), np.rot90(pixels, 2), 255 - pixels)[index % 3]
