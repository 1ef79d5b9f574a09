"""Operations against published figures, and against what torch counts on real tensors."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

from models.downstream.dense_configs import DetectionConfig, EncoderUse, SegmentationConfig
from models.downstream.few_labels import FineTuningConfig
from models.painters.diffusion.config import DiffusersConfig
from models.studies.evaluation_operations import (
    label_operations,
    require_maps,
    seeing_operations,
)
from models.studies.generation_operations import painting_operations, writing_operations
from models.studies.operations import operations
from models.studies.training_operations import (
    compare_random,
    loss_operations,
    text_operations,
    text_token_operations,
    tower_operations,
)
from models.vlp.configs import ImageTowerConfig, PretrainingConfig
from models.vlp.objectives import TowerWidths, objective_config
from models.vlp.tokenizer import WordTokenizer
from models.vlp.towers import TextTower, build_image_tower
from models.vocabulary.findings import Finding
from models.writers.language_model.configs import VllmConfig
from storage.errors import EngineUnavailable

RESNET = ImageTowerConfig(name="timm/resnet50", image_size_px=224)
DEMO = ImageTowerConfig(name="narrow-resnet", image_size_px=64)


def _config(**changes: Any) -> PretrainingConfig:
    settings: dict[str, Any] = {
        "image_tower": {"image_size_px": 64, "width": 8},
        "text_tower": {"width": 16, "num_layers": 1, "num_heads": 2, "max_tokens": 12},
        "training": {"batch_size": 9, "texts_per_image": 1},
    }
    return PretrainingConfig.model_validate(settings | changes)


@pytest.mark.parametrize(
    ("name", "published_multiply_adds", "of_two_more_channels"),
    [
        # He et al. 2016, and its classifier's 2048 x 1000; the first layer sees one channel here.
        ("timm/resnet50", 4.09e9 - 2048 * 1000, 2 * 64 * 7**2 * 112**2),
        # Dosovitskiy et al. 2021 as timm lists it, likewise.
        ("timm/vit_base_patch16_224", 17.58e9 - 768 * 1000, 2 * 768 * 16**2 * 14**2),
    ],
)
def test_image_through_a_known_tower_has_the_published_operations(
    name: str, published_multiply_adds: float, of_two_more_channels: int
) -> None:
    counted = seeing_operations(ImageTowerConfig(name=name, image_size_px=224))
    assert counted == pytest.approx(2 * (published_multiply_adds - of_two_more_channels), rel=0.01)


def test_step_of_a_tower_is_three_passes_less_the_gradient_of_the_images() -> None:
    config = _config(image_tower=RESNET, training={"batch_size": 4})
    passes = tower_operations(config) / (4 * seeing_operations(RESNET))
    assert 2.95 < passes < 3
    chunks = _config(image_tower=RESNET, training={"batch_size": 4, "chunk_size": 2})
    assert tower_operations(chunks) - tower_operations(config) == 4 * seeing_operations(RESNET)


def test_shapes_alone_give_the_count_of_real_tensors() -> None:
    tower = build_image_tower(DEMO).train()

    def seen() -> None:
        features = tower(torch.zeros(3, 1, 64, 64))
        torch.autograd.backward(features.pooled_BC.sum() + features.local_BCHW.sum())

    config = _config(image_tower=DEMO, training={"batch_size": 3, "texts_per_image": 2})
    assert tower_operations(config) == operations(seen)

    tokenizer = WordTokenizer.train(["no effusion"], 100, 1)
    reader = TextTower(config.text_tower, tokenizer).train()

    def read() -> None:
        features = reader(torch.ones(3, 12, dtype=torch.int64))
        torch.autograd.backward(features.pooled_BC.sum() + features.local_BLC.sum())

    assert text_operations(config) == 2 * operations(read) > 0
    assert 0 < text_token_operations(config.text_tower, 12) < text_operations(config)


@pytest.mark.parametrize("kind", ["convirt", "clip", "gloria", "mgca"])
def test_loss_extended_from_small_batches_is_that_of_the_whole_batch(kind: str) -> None:
    config = _config(objective={"kind": kind})
    widths = TowerWidths(128, 64, 16, 16, num_regions=16)  # of the towers of _config
    objective = config.objective.build(widths)
    whole = operations(lambda: compare_random(objective, widths, 9, 12))
    assert loss_operations(config) == whole > 0


def test_text_model_is_counted_by_its_configuration_alone(tmp_path: Path) -> None:
    small = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        attn_implementation="eager",
    )
    small.save_pretrained(tmp_path)
    config = _config(text_tower={"name": f"hf/{tmp_path}", "max_tokens": 12})
    model = BertModel(small, add_pooling_layer=False)

    def read() -> None:
        states = model(torch.ones(9, 12, dtype=torch.int64)).last_hidden_state
        torch.autograd.backward(states.sum())

    assert text_operations(config) == operations(read) > 0
    assert loss_operations(config) > 0


def test_text_model_that_is_absent_is_one_line() -> None:
    config = _config(text_tower={"name": "hf/./weights/none"})
    with pytest.raises(EngineUnavailable, match=r"got '\./weights/none'") as caught:
        text_operations(config)
    assert "\n" not in str(caught.value)


def test_networks_on_labels_cost_more_fine_tuned_than_frozen() -> None:
    config = ImageTowerConfig(name="narrow-resnet", image_size_px=64)
    tower = seeing_operations(config)
    tuned = label_operations(config, FineTuningConfig(batch_size=4), 14)
    assert tower < tuned.image < 1.1 * tower
    assert 2.7 * 4 * tower < tuned.step < 3.3 * 4 * tower
    findings = (Finding.MASS,)
    for kind in (SegmentationConfig, DetectionConfig):
        frozen, whole = (
            label_operations(config, kind(findings=findings, batch_size=4, encoder=use), 1)
            for use in (EncoderUse.FROZEN, EncoderUse.FINE_TUNED)
        )
        assert frozen.image == whole.image > tower
        assert 4 * frozen.image < frozen.step < whole.step < 4 * 3 * whole.image


def test_tower_without_stages_and_objective_without_regions_are_refused() -> None:
    vit = ImageTowerConfig(name="timm/vit_tiny_patch16_224", image_size_px=32)
    with pytest.raises(ValueError, match="need an image tower with stages"):
        label_operations(vit, SegmentationConfig(findings=(Finding.MASS,)), 1)
    with pytest.raises(ValueError, match="convirt compares no regions"):
        require_maps(objective_config({"kind": "convirt"}))
    require_maps(objective_config({"kind": "gloria"}))


def test_painted_image_costs_what_the_pipeline_computes_but_for_its_prompt() -> None:
    config = DiffusersConfig(model="cxr-factory:nih-64", num_steps=3, guidance_scale=2.0)
    pipeline = DiffusionPipeline.from_pretrained(str(config.checkpoint().folder))  # type: ignore[no-untyped-call]
    pipeline.set_progress_bar_config(disable=True)
    real = operations(lambda: pipeline("mass", num_inference_steps=3, guidance_scale=2.0))
    prompt = pipeline.tokenizer("mass", return_tensors="pt", padding="max_length")
    read = operations(lambda: pipeline.text_encoder(prompt.input_ids))
    assert painting_operations(config) == real - 2 * read


def test_pipeline_that_is_absent_is_one_line() -> None:
    with pytest.raises(EngineUnavailable, match="model_index") as caught:
        painting_operations(DiffusersConfig(model="./weights/none"))
    assert "\n" not in str(caught.value)


def test_token_of_a_language_model_costs_two_operations_a_weight(tmp_path: Path) -> None:
    small = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    small.save_pretrained(tmp_path)
    model = LlamaForCausalLM(small)
    weights = sum(one.numel() for one in model.parameters() if one.ndim == 2)
    num_tokens, looked_up = 10, 64 * 32
    attention = 2 * 2 * 2 * num_tokens**2 * 32  # layers, products, operations
    found = writing_operations(VllmConfig(model=str(tmp_path)), num_tokens)
    assert found == 2 * (weights - looked_up) * num_tokens + attention
