"""A U-Net on an image tower, against plain arithmetic and known answers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.downstream.dense_configs import EncoderUse, SegmentationConfig
from models.downstream.dense_measures import SegmentationMeasure
from models.downstream.dense_results import DenseResult
from models.downstream.map_scores import overlap
from models.downstream.masked_images import MaskedImages
from models.downstream.masked_splits import MaskedSplits
from models.downstream.segmentation import (
    evaluate_segmentation,
    mask_squares,
    own_maps,
    segmentation_loss,
)
from models.downstream.stages import Stages, stages_of
from models.vlp.configs import ImageTowerConfig
from models.vlp.towers import build_image_tower
from models.vocabulary.findings import Finding

from .masked_sets import BAR, SIDE, SQUARE, drawn, drawn_splits, tiny_model


def config(**changes: Any) -> SegmentationConfig:
    settings = {
        "findings": (SQUARE, BAR),
        "encoder": EncoderUse.FINE_TUNED,
        "shares": (1.0,),
        "steps": 60,
        "validate_every_steps": 20,
        "batch_size": 16,
        "learning_rate": 5e-3,
        "decoder_width": 8,
        "num_resamples": 100,
        "device": "cpu",
    }
    return SegmentationConfig.model_validate(settings | changes)


def test_overlap_of_an_empty_mask_is_one_only_where_nothing_is_chosen() -> None:
    map_HW, empty = np.array([[0.1, 0.4]]), np.zeros((1, 2), bool)
    for measure in overlap(map_HW, empty, np.array([0.2, 0.4, 0.5])):
        assert measure.tolist() == [0, 0, 1]
    none_chosen = overlap(map_HW, ~empty, np.array([0.5]))
    assert (none_chosen.iou_T[0], none_chosen.dice_T[0]) == (0, 0)


def test_loss_is_the_plain_formula_of_focal_and_dice() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 2, 4, 5))
    masks = random.random((3, 2, 4, 5)) < 0.4
    masks[:, 1] = False  # without a Dice term
    p = 1 / (1 + np.exp(-logits))
    right = np.where(masks, p, 1 - p)
    focal = np.mean((1 - right) ** 2 * -np.log(right))
    dice = 2 * (p * masks)[:, 0].sum() / (p[:, 0].sum() + masks[:, 0].sum())
    found = segmentation_loss(torch.from_numpy(logits), torch.from_numpy(masks)).item()
    assert found == pytest.approx(10 * focal + (1 - dice + 0) / 2, rel=1e-9)


def test_masks_keep_their_place_and_size_at_the_towers_size_and_back() -> None:
    masked = drawn(12, 5, (48, 40))
    for column, finding in enumerate((SQUARE, BAR)):
        maps_NSS = mask_squares(masked, (SQUARE, BAR), 96)[:, column]
        back = own_maps(masked, maps_NSS.astype(np.float32))
        for masks, map_HW in zip(masked.masks, back, strict=True):
            expected = masks.get(finding, np.zeros((48, 40), bool))
            np.testing.assert_array_equal(map_HW >= 0.5, expected)


def test_segmentation_learns_drawn_shapes_repeatably_and_leaves_the_model_alone() -> None:
    model, splits = tiny_model(), drawn_splits()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (evaluate_segmentation(model, splits, config()) for _ in range(2))
    assert first.as_dict() == second.as_dict()
    assert set(config().judgeable()) <= set(first.figures())
    (full,) = first.shares
    for measure in ("dice", "iou", "shown_dice", "untrained_shown_dice"):
        assert full.macro[SegmentationMeasure(measure)].value > 0.6, measure
    for finding in (SQUARE, BAR):
        dice = full.per_finding[finding].figures[SegmentationMeasure.DICE]
        assert dice.interval is not None
        assert dice.interval.low <= dice.value <= dice.interval.high
    assert (full.num_images, full.num_patients, first.num_patients) == (100, 50, 20)
    assert full.chosen["pretrained"]["step"] % 20 == 0
    assert 0 < full.chosen["pretrained"]["Mass_threshold"] < 1
    after = model.state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())


def _plain(result: DenseResult, measure: SegmentationMeasure) -> float:
    return result.shares[0].macro[measure].value


def test_gain_is_the_mean_difference_to_the_untrained_tower() -> None:
    result = evaluate_segmentation(tiny_model(), drawn_splits(20), config(steps=3))
    for gain, own, other in (
        ("dice_gain", "dice", "untrained_dice"),
        ("shown_dice_gain", "shown_dice", "untrained_shown_dice"),
    ):
        own_value, other_value = (_plain(result, SegmentationMeasure(m)) for m in (own, other))
        assert _plain(result, SegmentationMeasure(gain)) == pytest.approx(own_value - other_value)


def test_frozen_tower_keeps_weights_and_statistics_and_a_tuned_one_does_not() -> None:
    images_B1SS = torch.randn(4, 1, SIDE, SIDE)
    for use in EncoderUse:
        tower = tiny_model().image_tower
        before = {name: value.clone() for name, value in tower.state_dict().items()}
        stages = stages_of(tower, SIDE, use).train()
        maps = stages(images_B1SS)
        frozen = use is EncoderUse.FROZEN
        assert all(one.requires_grad is not frozen for one in maps)
        same = [torch.equal(before[name], value) for name, value in tower.state_dict().items()]
        assert all(same) is frozen


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("narrow-resnet", (2, 4, 8, 16)),
        ("timm/resnet10t", (2, 4, 8, 16, 32)),
        ("timm/convnext_atto", (4, 8, 16, 32)),
    ],
)
def test_stages_are_the_last_map_of_each_size(name: str, strides: tuple[int, ...]) -> None:
    tower = build_image_tower(ImageTowerConfig(name=name, image_size_px=64))
    stages = Stages(tower, 64)
    assert stages.strides == strides
    images_B1SS = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        maps = stages.eval()(images_B1SS)
        last = tower(images_B1SS).local_BCHW
    torch.testing.assert_close(maps[-1], last)
    assert tuple(one.shape[1] for one in maps) == stages.channels


def test_tower_without_stages_is_one_line() -> None:
    with pytest.raises(ValueError, match="with stages, whose maps shrink, got TimmTower with"):
        evaluate_segmentation(
            tiny_model("timm/vit_tiny_patch16_224"), drawn_splits(20), config(steps=1)
        )


def test_finding_that_no_image_shows_is_undefined_and_outside_the_macro() -> None:
    splits = drawn_splits(20)
    wanted = config(findings=(SQUARE, Finding.HERNIA), steps=2)
    (full,) = evaluate_segmentation(tiny_model(), splits, wanted).shares
    hernia = full.per_finding[Finding.HERNIA]
    assert (hernia.reason, hernia.figures) == ("undefined: no image to train on shows it", {})
    assert full.macro[SegmentationMeasure.DICE].value == pytest.approx(
        full.per_finding[SQUARE].figures[SegmentationMeasure.DICE].value
    )


def test_draw_that_shows_nothing_is_undefined() -> None:
    splits = drawn_splits(20)
    bare = [{} if number else {SQUARE: np.ones((SIDE, SIDE), bool)} for number in range(20)]
    splits = replace(splits, train=replace(splits.train, masks=bare))
    few = config(findings=(BAR, SQUARE), shares=(1e-6,), steps=1, seed=3)
    (small,) = evaluate_segmentation(tiny_model(), splits, few).shares
    assert small.per_finding[BAR].reason == "undefined: no image to train on shows it"
    assert BAR not in [finding for finding, one in small.per_finding.items() if one.figures]


def _without_masks(masked: MaskedImages) -> MaskedImages:
    empty: list[dict[Finding, NDArray[np.bool_]]] = [{} for _ in masked.images]
    return replace(masked, masks=empty)


def test_splits_without_masks_and_shared_patients_are_one_line() -> None:
    splits = drawn_splits(20)
    bare = replace(splits, test=_without_masks(splits.test))
    with pytest.raises(ValueError, match="test of 'held out' must have a finding both present and"):
        evaluate_segmentation(tiny_model(), bare, config())
    shared = MaskedSplits(splits.train, splits.train, splits.test)
    with pytest.raises(ValueError, match="train and validation of 'held out' must share no patie"):
        evaluate_segmentation(tiny_model(), shared, config())
    with pytest.raises(ValueError, match="findings must differ, got 'Mass' twice"):
        config(findings=(SQUARE, SQUARE))
