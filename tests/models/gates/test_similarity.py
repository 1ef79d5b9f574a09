"""The similarity gate: calibrated on half of the patients, it judges the images of the others."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from models.encoders.seam import Matrix, Pixels, handcrafted_encoder
from models.engines import EngineInfo, PaintedImage, PaintRequest, engine_config
from models.gates.bank import BankOrigin, bank_origin, load_bank, save_bank
from models.gates.calibration import calibrate_bank, calibrate_on_half
from models.gates.configs import SimilarityConfig
from models.gates.examples import ImageExample, halves, spoiled_examples
from models.gates.spoiling import SPOILINGS, spoil
from storage.errors import DamagedObject, EngineUnavailable
from storage.records import RejectionReason, Report, Verdict, View
from tests.models.encoders.tiny_checkpoints import save_dinov2

REQUEST = PaintRequest("id", 0, "", Report("", ""), (), View.PA)


class Corners:
    """An encoder that sees the mean grey of the four quarters, for tests that need no real one."""

    info = EngineInfo("corners", "1", deterministic=True)

    def embed(self, images: Sequence[Pixels]) -> Matrix:
        rows = [[image[a:, b:].mean() for a in (0, 16) for b in (0, 16)] for image in images]
        return np.array(rows, np.float32).reshape(-1, 4)


def origin() -> BankOrigin:
    encoder = handcrafted_encoder()
    return BankOrigin(encoder.kind, encoder.revision())


def examples(num_patients: int, kind: str, seed: int) -> list[ImageExample]:
    """Good images brighten downwards, bad ones to the right."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(40, 200, 32)[:, None] + np.zeros((32, 32))
    ramp = ramp.T if kind else ramp
    noisy = (random.normal(ramp, 20).clip(0, 255).astype(np.uint8) for _ in range(num_patients))
    return [ImageExample(f"p{n}", kind, pixels) for n, pixels in enumerate(noisy)]


def bank_file(folder: Path) -> Path:
    """A bank of made images, by the handcrafted encoder."""
    encoder = handcrafted_encoder().open()
    good, bad = examples(80, "", 0), examples(80, "turned", 1)
    bank, _ = calibrate_on_half(encoder, good, bad, 0.97, 0)
    save_bank(bank, origin(), folder / "bank.safetensors")
    return folder / "bank.safetensors"


def verdicts(config: SimilarityConfig, images: Sequence[Pixels]) -> list[Verdict]:
    painted = [PaintedImage(image, (), 0.0) for image in images]
    return config.open().check([REQUEST] * len(images), painted)


def test_calibrated_figures_are_of_patients_the_bank_never_saw() -> None:
    good, bad = examples(200, "", 0), examples(200, "turned", 1)
    bank, held_out = calibrate_on_half(Corners(), good, bad, 0.95, 3)
    sides = halves(good, 3)
    assert not {e.patient_id for e in sides.calibration} & {e.patient_id for e in sides.held_out}
    assert held_out.num_good == len(sides.held_out) == 200 - len(bank.good_ND)
    assert held_out.acceptance > 0.85
    assert held_out.recall_by_kind == {"turned": held_out.recall} == {"turned": 1.0}


def test_bank_written_is_read_the_same(tmp_path: Path) -> None:
    bank, _ = calibrate_on_half(Corners(), examples(90, "", 0), examples(90, "x", 1), 0.97, 0)
    path = tmp_path / "bank.safetensors"
    save_bank(bank, BankOrigin("corners", "1", restricted=True), path)
    again = load_bank(path)
    probe = np.random.default_rng(2).normal(100, 30, (5, 4)).astype(np.float32)
    assert again.scores(probe) == bank.scores(probe)
    assert asdict(again.calibration) == asdict(bank.calibration)
    assert bank_origin(path).restricted
    assert [file.name for file in tmp_path.iterdir()] == ["bank.safetensors"]


def test_calibrate_too_small_bank_is_refused() -> None:
    good = np.zeros((60, 4), np.float32)
    with pytest.raises(ValueError, match="bank of bad images must hold more than 25, got 0"):
        calibrate_bank(good, good[:0], ["a"] * 60, [])


def test_calibrate_without_other_patients_is_refused() -> None:
    good = examples(80, "", 0)
    one = [ImageExample("p0", "bad", e.pixels_HW) for e in examples(30, "bad", 1)]
    with pytest.raises(ValueError, match="expected bad images of patients to measure on"):
        calibrate_on_half(Corners(), good, one, 0.97, seed_where_first("p0"))


def seed_where_first(patient: str) -> int:
    one = [ImageExample(patient, "", np.zeros((2, 2), np.uint8))]
    return next(seed for seed in range(20) if halves(one, seed).calibration)


def test_gate_batch_is_judged_one_by_one_and_what_is_no_image_refused(tmp_path: Path) -> None:
    config = SimilarityConfig(bank=str(bank_file(tmp_path)))
    good = examples(1, "", 7)[0].pixels_HW
    bad = examples(1, "turned", 8)[0].pixels_HW
    broken = good.astype(np.float32)
    broken[3, 4] = np.nan
    colour = np.zeros((8, 8, 3), np.uint8)
    found = verdicts(config, [good, broken, bad, colour])
    assert [verdict.reason for verdict in found] == [
        None,
        RejectionReason.NOT_FINITE,
        RejectionReason.BAD_IMAGE,
        RejectionReason.WRONG_SIZE,
    ]
    assert [verdict.scores[0].measure for verdict in found] == [
        "log_odds_bad",
        "not_finite_fraction",
        "log_odds_bad",
        "num_dimensions",
    ]
    assert found[1].scores[0].value == pytest.approx(1 / broken.size)
    assert verdicts(config, [bad])[0].scores[0].value == pytest.approx(found[2].scores[0].value)


def test_bank_of_another_encoder_is_refused_in_one_line(tmp_path: Path) -> None:
    bank = bank_file(tmp_path)
    encoder = {"kind": "transformers", "model": str(save_dinov2(tmp_path / "dino"))}
    config = SimilarityConfig.model_validate({"bank": str(bank), "encoder": encoder})
    line = r"was made by the encoder handcrafted of revision \w+, the gate's is transformers of"
    with pytest.raises(EngineUnavailable, match=line) as refused:
        config.revision()
    assert "\n" not in str(refused.value)


def test_gate_by_a_vision_model_keeps_and_refuses(tmp_path: Path) -> None:
    encoder = {"kind": "transformers", "model": str(save_dinov2(tmp_path / "dino"))}
    config = engine_config("encoders", encoder)
    good, bad = examples(80, "", 0), examples(80, "turned", 1)
    bank, _ = calibrate_on_half(config.open(), good, bad, 0.9, 0)
    path = tmp_path / "bank.safetensors"
    save_bank(bank, BankOrigin(config.kind, config.revision()), path)
    gate = SimilarityConfig.model_validate({"bank": str(path), "encoder": encoder})
    found = verdicts(gate, [examples(1, "", 7)[0].pixels_HW, bad[0].pixels_HW])
    assert [verdict.reason for verdict in found] == [None, RejectionReason.BAD_IMAGE]


def test_bank_missing_is_one_clear_line(tmp_path: Path) -> None:
    config = SimilarityConfig(bank=str(tmp_path / "none"))
    with pytest.raises(EngineUnavailable, match="make it with `cxr-factory calibrate`"):
        config.revision()


@pytest.mark.parametrize("header", [None, {}, {"format": "cxr-factory image bank 1"}])
def test_bank_damaged_or_of_another_format_is_refused(
    header: dict[str, str] | None, tmp_path: Path
) -> None:
    path = bank_file(tmp_path)
    if header is None:
        path.write_bytes(b"no bank at all")
    else:
        save_file(load_file(path), path, metadata=header)
    with pytest.raises(DamagedObject, match="calibrate it again"):
        load_bank(path)


def test_revision_changes_with_the_bank(tmp_path: Path) -> None:
    path = bank_file(tmp_path)
    settings = {"kind": "similarity", "bank": str(path)}
    before = engine_config("image_gates", settings).revision()
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DamagedObject):
        engine_config("image_gates", settings).revision()
    bank, _ = calibrate_on_half(
        handcrafted_encoder().open(), examples(80, "", 5), examples(80, "x", 1), 0.97, 0
    )
    save_bank(bank, origin(), path)
    assert engine_config("image_gates", settings).revision() != before


def test_settings_survive_the_lock_file(tmp_path: Path) -> None:
    config = SimilarityConfig(bank=str(bank_file(tmp_path)))
    locked = json.loads(config.model_dump_json())
    assert locked["encoder"] == {"kind": "handcrafted"}
    assert engine_config("image_gates", locked) == config


@pytest.mark.parametrize("kind", SPOILINGS)
@pytest.mark.parametrize("size", [(40, 40), (60, 30)])
def test_spoil_keeps_the_size_and_changes_the_image(kind: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, size).astype(np.uint8)
    spoiled, again = (spoil(pixels, kind, np.random.default_rng(1), "china.jpg") for _ in range(2))
    assert spoiled.shape == size
    assert spoiled.dtype == np.uint8
    assert (spoiled == again).all()
    assert (spoiled != pixels).any()


def test_spoiled_examples_are_of_both_halves_by_kind() -> None:
    bad = spoiled_examples(examples(20, "", 0), 4, 0)
    sides = halves(bad, 0)
    for side in (sides.calibration, sides.held_out):
        assert {kind: sum(e.kind == kind for e in side) for kind in SPOILINGS} == dict.fromkeys(
            SPOILINGS, 2
        )


@pytest.mark.data
def test_gate_judges_other_patients(shared_data: Path) -> None:
    paths = sorted((shared_data / "nih" / "images").iterdir())[::4]
    good = [
        ImageExample(path.name[:8], "", np.asarray(Image.open(path).convert("L"))) for path in paths
    ]
    bad = spoiled_examples(good, 20, 0)
    _, held_out = calibrate_on_half(handcrafted_encoder().open(), good, bad, 0.95, 0)
    assert held_out.acceptance >= 0.88
    assert held_out.recall >= 0.8
