"""Pipelines of another make: two encoders (SDXL), and three with a flow-matching transformer (SD3).

Nothing in the painter names a pipeline class; these have other arguments, solvers and windows.
"""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
)

from models.engines import PaintRequest
from models.painters.diffusion.config import DiffusersConfig
from models.painters.diffusion.painter import DiffusersPainter
from storage.errors import EngineUnavailable
from storage.records import Report, View
from tests.models.painters.diffusion.tiny_pipeline import tiny_pipeline, tiny_tokenizer

WINDOW = 24
LONG = "No pneumonia in the left lung. " * 6


def _text_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=WINDOW,
        projection_dim=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def _sdxl() -> DiffusionPipeline:
    first, second = tiny_tokenizer(WINDOW), tiny_tokenizer(WINDOW)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=8,
        norm_num_groups=8,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
    )
    return StableDiffusionXLPipeline(
        vae=tiny_pipeline().vae,
        text_encoder=CLIPTextModel(_text_config(first)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(second)),
        tokenizer=first,
        tokenizer_2=second,
        unet=unet,
        scheduler=EulerDiscreteScheduler(),
    )


def _sd3() -> DiffusionPipeline:
    first, second, third = tiny_tokenizer(WINDOW), tiny_tokenizer(WINDOW), tiny_tokenizer(512)
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        pos_embed_max_size=16,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=8,
        sample_size=64,
        shift_factor=0.06,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    t5 = T5Config(vocab_size=len(third), d_model=64, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=CLIPTextModelWithProjection(_text_config(first)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(second)),
        text_encoder_3=T5EncoderModel(t5),
        tokenizer=first,
        tokenizer_2=second,
        tokenizer_3=third,
    )


@pytest.fixture(scope="module", params=["sdxl", "sd3"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / request.param
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        (_sdxl() if request.param == "sdxl" else _sd3()).save_pretrained(folder)
    return Path(folder)


def _paint(painter: DiffusersPainter, *asked: tuple[int, str]) -> list[np.ndarray]:
    requests = [
        PaintRequest(f"s{seed}", seed, prompt, Report("", ""), (), View.PA)
        for seed, prompt in asked
    ]
    return [np.asarray(image.pixels_HW, np.float32) for image in painter.paint(requests)]


def test_other_pipeline_paints_each_sample_apart_from_its_batch_mates(saved: Path) -> None:
    painter = DiffusersConfig(model=str(saved), num_steps=3, negative_prompt="the").open()
    together = _paint(painter, (1, "pneumonia"), (2, "normal heart size"))
    (alone,) = _paint(painter, (2, "normal heart size"))
    assert together[0].shape == (64, 64)
    assert np.abs(together[0] - together[1]).max() > 5
    assert np.abs(together[1] - alone).max() < 0.1


def test_other_pipeline_is_cut_to_its_widest_window_and_logs_no_prompt(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SD3's third encoder sees what its two others cut, and complain of."""
    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    painter = DiffusersConfig(model=str(saved), num_steps=1).open()
    logging.getLogger("diffusers").addHandler(listener)
    try:
        _paint(painter, (1, LONG))
        painter.close()
    finally:
        logging.getLogger("diffusers").removeHandler(listener)
    assert said == []
    assert ("1 of 1 prompts were longer" in caplog.text) == (saved.name == "sdxl")


def test_other_pipeline_takes_another_solver_of_its_family_only(saved: Path) -> None:
    flow, noise = "FlowMatchHeunDiscreteScheduler", "UniPCMultistepScheduler"
    fitting, other = (noise, flow) if saved.name == "sdxl" else (flow, noise)
    painter = DiffusersConfig.model_validate(
        {"model": str(saved), "num_steps": 3, "scheduler": fitting, "image_size_px": 32}
    ).open()
    (image,) = _paint(painter, (1, "pneumonia"))
    assert image.shape == (32, 32)
    assert np.isfinite(image).all()
    with pytest.raises(EngineUnavailable, match="same family"):
        DiffusersConfig.model_validate({"model": str(saved), "scheduler": other}).revision()
