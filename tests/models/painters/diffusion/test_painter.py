"""The painter over a real pipeline: text encoder, U-Net, VAE and solver, of random weights."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from models.engines import PaintedImage, PaintRequest
from models.gates.configs import TechnicalConfig
from models.painters.diffusion.config import DiffusersConfig, NoiseScheduler
from models.painters.diffusion.painter import DiffusersPainter, grey_levels
from storage.errors import EngineOutOfMemory, EngineUnavailable
from storage.records import RejectionReason, Report, View

Painters = Callable[..., DiffusersPainter]

PROMPT = "The heart is normal in size."
LONG = f"{PROMPT} Small left pleural effusion. No pneumonia in the right upper lobe of the lung."


@pytest.fixture(scope="module")
def painters(saved_pipeline: Path) -> Painters:
    def open_painter(**settings: Any) -> DiffusersPainter:
        return DiffusersConfig(model=str(saved_pipeline), **{"num_steps": 3, **settings}).open()

    return open_painter


@pytest.fixture(scope="module")
def painter(painters: Painters) -> DiffusersPainter:
    return painters()


def _request(seed: int, prompt: str = PROMPT) -> PaintRequest:
    return PaintRequest(f"s{seed}", seed, prompt, Report("", prompt), (), View.PA)


def _pixels(painter: DiffusersPainter, *requests: PaintRequest) -> list[NDArray[np.float32]]:
    return [np.asarray(image.pixels_HW, np.float32) for image in painter.paint(requests)]


def _far(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(np.abs(first - second).max())


def test_paint_gives_grey_levels_of_the_checkpoint_size(painter: DiffusersPainter) -> None:
    (image,) = painter.paint([_request(2**63 - 1)])
    assert image.pixels_HW.shape == (64, 64)
    assert image.pixels_HW.dtype == np.float32
    assert image.pixels_HW.min() >= 0
    assert 1 < image.pixels_HW.max() <= 255
    assert image.engine_seconds > 0


def test_paint_same_seed_same_image_other_seed_or_prompt_another(painter: DiffusersPainter) -> None:
    (first,), (again,) = (_pixels(painter, _request(1)) for _ in range(2))
    other_seed, other_prompt = _pixels(painter, _request(2), _request(1, "pneumonia"))
    assert np.array_equal(first, again)
    assert _far(first, other_seed) > 5
    assert _far(first, other_prompt) > 0.5


@pytest.mark.parametrize("scheduler", [None, "EulerAncestralDiscreteScheduler", "LCMScheduler"])
def test_paint_sample_does_not_depend_on_its_batch_mates(
    painters: Painters, scheduler: str | None
) -> None:
    """Also with solvers that draw new noise at every step."""
    painter = painters(scheduler=scheduler)
    together = _pixels(painter, *(_request(seed) for seed in (5, 6, 7)))
    reordered = _pixels(painter, _request(7), _request(5, LONG))
    alone = [_pixels(painter, _request(seed))[0] for seed in (5, 6, 7)]
    for seen, expected in zip(together, alone, strict=True):
        assert _far(seen, expected) < 0.1  # grey levels: arithmetic rounds by batch size
    assert _far(reordered[0], alone[2]) < 0.1


@pytest.mark.parametrize("scheduler", get_args(NoiseScheduler))
def test_paint_every_scheduler_takes_one_generator_a_sample(
    painters: Painters, scheduler: str
) -> None:
    painter = painters(scheduler=scheduler, num_steps=5)
    first, other = _pixels(painter, _request(1), _request(2))
    assert np.isfinite(first).all()
    assert _far(first, other) > 1


def test_paint_is_what_the_bare_pipeline_paints(
    saved_pipeline: Path, painter: DiffusersPainter
) -> None:
    from diffusers import StableDiffusionPipeline

    bare = StableDiffusionPipeline.from_pretrained(saved_pipeline, safety_checker=None)
    (image,) = bare(
        prompt=[PROMPT],
        generator=[torch.Generator().manual_seed(3)],
        num_inference_steps=3,
        guidance_scale=4.0,
        output_type="np",
    ).images
    (painted,) = _pixels(painter, _request(3))
    assert _far(painted, image.mean(axis=2) * 255) < 0.1


def test_paint_settings_reach_the_pipeline(painters: Painters, painter: DiffusersPainter) -> None:
    (plain,) = _pixels(painter, _request(1))
    (small,) = _pixels(painters(image_size_px=32), _request(1))
    assert small.shape == (32, 32)
    for changed in ({"guidance_scale": 12.0}, {"num_steps": 5}, {"negative_prompt": "effusion"}):
        assert _far(_pixels(painters(**changed), _request(1))[0], plain) > 0.5, changed


def test_paint_in_bfloat16_is_near(painters: Painters, painter: DiffusersPainter) -> None:
    (rough,) = _pixels(painters(precision="bfloat16"), _request(1))
    difference = np.abs(rough - _pixels(painter, _request(1))[0])
    assert 0 < difference.mean() < 5


def test_paint_long_prompt_is_cut_at_a_sentence_and_counted(
    painters: Painters, caplog: pytest.LogCaptureFixture
) -> None:
    painter = painters()
    with caplog.at_level(logging.WARNING):
        long, cut = _pixels(
            painter, _request(1, LONG), _request(1, f"{PROMPT} Small left pleural effusion.")
        )
        painter.close()
    assert np.array_equal(long, cut)
    assert "1 of 2 prompts were longer than the text encoder's window of 24 tokens" in caplog.text
    assert "effusion" not in caplog.text


def test_paint_pipeline_logs_no_prompt(painters: Painters) -> None:
    """Left to itself, the library quotes what its window cuts off."""
    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    painter = painters()
    logging.getLogger("diffusers").addHandler(listener)
    try:
        painter._model.paint([LONG], [1])
    finally:
        logging.getLogger("diffusers").removeHandler(listener)
    assert said == []


def test_paint_patient_stated_is_the_prompt_with_the_words_of_captions(painters: Painters) -> None:
    stating = painters(state_patient=True)
    plain = painters()
    (image,) = _pixels(stating, _request(3))
    (same,) = _pixels(plain, _request(3, f"{PROMPT} PA view."))
    assert _far(image, same) == 0


def test_open_unknown_painter_of_our_own_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match=r"own painters \(.*\), got 'cxr-factory:none'"):
        DiffusersConfig(model="cxr-factory:none").open()


def test_paint_out_of_memory_is_said_as_such(
    painters: Painters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mocked: what torch raises on a full GPU."""
    painter = painters()

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(painter._model, "_pipeline", full)
    with pytest.raises(EngineOutOfMemory, match="2 images do not fit: CUDA out of memory"):
        painter.paint([_request(1), _request(2)])


def test_open_checkpoint_that_lacks_weights_is_refused(
    saved_pipeline: Path, tmp_path: Path
) -> None:
    """Both libraries would draw them at random and go on."""
    for part, file in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        folder = Path(shutil.copytree(saved_pipeline, tmp_path / part))
        path = folder / part / f"{file}.safetensors"
        weights = load_file(path)
        weights.pop(sorted(weights)[3])
        save_file(weights, path, metadata={"format": "pt"})
        with pytest.raises(EngineUnavailable, match="lacks weights, which would be drawn"):
            DiffusersConfig(model=str(folder)).open()


def test_open_safety_checker_is_left_out_and_said(
    saved_pipeline: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(saved_pipeline, tmp_path / "checked"))
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "requires_safety_checker": True,
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    with caplog.at_level(logging.WARNING):
        painter = DiffusersConfig(model=str(folder), num_steps=2).open()
    assert "safety checker" in caplog.text
    assert len(painter.paint([_request(1)])) == 1


@pytest.mark.parametrize(
    ("class_name", "said"),
    [
        ("StableDiffusionImg2ImgPipeline", "which takes strength; name another checkpoint"),
        ("NoSuchPipeline", "expected a pipeline that diffusers .* loads"),
    ],
)
def test_open_other_pipeline_is_refused(
    saved_pipeline: Path, tmp_path: Path, class_name: str, said: str
) -> None:
    folder = Path(shutil.copytree(saved_pipeline, tmp_path / "other"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": class_name}))
    with pytest.raises(EngineUnavailable, match=said):
        DiffusersConfig(model=str(folder)).open()


def test_open_solver_that_knows_no_flow_is_refused_for_a_flow_checkpoint(
    saved_pipeline: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(saved_pipeline, tmp_path / "flow"))
    path = folder / "scheduler/scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_flow_sigmas": True}))
    DiffusersConfig(model=str(folder), scheduler="UniPCMultistepScheduler").open()
    with pytest.raises(EngineUnavailable, match="must know the flow schedule"):
        DiffusersConfig(model=str(folder), scheduler="EulerDiscreteScheduler").open()


def test_open_too_long_negative_prompt_is_refused(painters: Painters) -> None:
    with pytest.raises(EngineUnavailable, match="negative_prompt must fit"):
        painters(negative_prompt=LONG)


def test_grey_levels_are_the_mean_of_the_channels() -> None:
    grey = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    assert np.allclose(grey_levels(np.stack([grey] * 3, axis=2)), grey * 255, atol=1e-4)
    assert np.allclose(grey_levels(grey[:, :, None]), grey * 255, atol=1e-4)
    red = np.zeros((2, 2, 3), np.float32)
    red[..., 0] = 0.3
    assert np.allclose(grey_levels(red), 25.5)
    with pytest.raises(ValueError, match=r"\(height, width, 1 or 3\), got shape \(2, 2, 4\)"):
        grey_levels(np.zeros((2, 2, 4), np.float32))


def test_grey_levels_keep_what_is_not_finite_for_the_gate() -> None:
    image = np.full((8, 8, 3), 0.5, np.float32)
    image[0, 0, 1] = np.nan
    painted = PaintedImage(grey_levels(image), (), 0.0)
    (verdict,) = TechnicalConfig().open().check([_request(1)], [painted])
    assert verdict.reason is RejectionReason.NOT_FINITE
