"""The technical gate keeps every real radiograph and rejects what is none, with the reason."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.engines import PaintedImage, PaintRequest, engine_config
from models.gates.configs import TechnicalConfig
from models.gates.technical import border_fraction
from storage.records import RejectionReason, Report, Verdict, View

REQUEST = PaintRequest("id", 0, "", Report("", ""), (), View.PA)


def check(pixels_HW: NDArray[np.generic], **settings: float) -> Verdict:
    gate = TechnicalConfig.model_validate({"kind": "technical", **settings}).open()
    image = PaintedImage(pixels_HW, (), 0.0)  # type: ignore[arg-type]
    (verdict,) = gate.check([REQUEST], [image])
    return verdict


@pytest.fixture
def good() -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    ramp = np.linspace(20, 230, 64, dtype=np.float32)
    return (ramp[:, None] * 0.5 + ramp[None, :] * 0.5 + rng.normal(0, 4, (64, 64))).astype(
        np.float32
    )


def test_technical_good_image_passes_with_every_score(good: NDArray[np.float32]) -> None:
    verdict = check(good)
    assert verdict.passed
    assert [score.measure for score in verdict.scores] == [
        "height_px",
        "width_px",
        "not_finite_fraction",
        "contrast",
        "saturated_fraction",
        "border_fraction",
    ]
    assert all(score.passed for score in verdict.scores)


def test_technical_uint8_and_float_are_judged_alike(good: NDArray[np.float32]) -> None:
    assert check(np.rint(good).astype(np.uint8)).passed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_technical_one_broken_value_is_not_finite(good: NDArray[np.float32], value: float) -> None:
    good[3, 5] = value
    verdict = check(good)
    assert verdict.reason is RejectionReason.NOT_FINITE
    assert verdict.scores[-1].value == pytest.approx(1 / good.size)


@pytest.mark.parametrize("shape", [(64, 64, 3), (0, 64), (64,)])
def test_technical_no_plane_is_wrong_size(shape: tuple[int, ...]) -> None:
    assert check(np.zeros(shape, np.float32)).reason is RejectionReason.WRONG_SIZE


def test_technical_other_side_than_asked_is_wrong_size(good: NDArray[np.float32]) -> None:
    assert check(good, size_px=64).passed
    assert check(good, size_px=128).reason is RejectionReason.WRONG_SIZE
    assert check(good[:, :60], size_px=64).reason is RejectionReason.WRONG_SIZE


def test_technical_flat_grey_is_constant(good: NDArray[np.float32]) -> None:
    assert check(np.full((64, 64), 128.0, np.float32)).reason is RejectionReason.CONSTANT
    assert check(100 + 0.05 * good).reason is RejectionReason.CONSTANT


def test_technical_burnt_out_is_saturated(good: NDArray[np.float32]) -> None:
    assert check((good - 128) * 40 + 128).reason is RejectionReason.SATURATED


@pytest.mark.parametrize("level", [3.0, 250.0])
@pytest.mark.parametrize("region", [np.s_[32:], np.s_[:32], np.s_[:, 32:]])
def test_technical_half_empty_is_border(
    good: NDArray[np.float32], level: float, region: slice
) -> None:
    good[region] = level
    assert check(good).reason is RejectionReason.BORDER


def test_technical_wide_frame_is_border(good: NDArray[np.float32]) -> None:
    framed = np.full((96, 96), 2.0, np.float32)
    framed[16:80, 16:80] = good
    assert border_fraction(framed) == pytest.approx(1 - 64**2 / 96**2)
    assert check(framed).reason is RejectionReason.BORDER
    assert check(framed, max_border_fraction=0.6).passed


def test_technical_is_found_by_its_kind() -> None:
    config = engine_config("image_gates", {"kind": "technical", "size_px": 256})
    assert isinstance(config, TechnicalConfig)
    assert config.open().info.deterministic


@pytest.mark.data
def test_technical_all_real_radiographs_pass(shared_data: Path) -> None:
    paths = sorted((shared_data / "nih" / "images").iterdir())
    gate = TechnicalConfig(size_px=256).open()
    rejected = []
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        (verdict,) = gate.check([REQUEST], [PaintedImage(pixels, (), 0.0)])
        if not verdict.passed:
            rejected.append((path.name, verdict.reason))
    assert len(paths) == 975
    assert rejected == []
