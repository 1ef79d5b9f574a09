from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.downstream.grounding import (
    GroundingConfig,
    MapSource,
    Measure,
    evaluate_grounding,
)
from models.downstream.heldout import heldout_phantoms, masked_phantoms
from models.downstream.map_scores import best_threshold, on_image, overlap, pointing_game
from models.downstream.masked_images import MaskedImages
from models.engines import engine_config
from models.vlp.images import fit_square
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding

CONFIG = GroundingConfig(num_resamples=200)
SIDE = 32


def drawn(
    seed: int, num_images: int = 60, findings: Sequence[Finding] = tuple(Finding)[:3]
) -> MaskedImages:
    """One square of 6 px per finding, each in its band of rows; its pixels hold its number."""
    random = np.random.default_rng(seed)
    images, masks = [], []
    for _ in range(num_images):
        image, of_image = np.zeros((SIDE, SIDE), np.uint8), {}
        for number, finding in enumerate(findings, 1):
            top, left = 10 * number - 10 + random.integers(5), random.integers(SIDE - 5)
            mask = np.zeros((SIDE, SIDE), bool)
            mask[top : top + 6, left : left + 6] = True
            image[mask], of_image[finding] = number, mask
        images.append(image)
        masks.append(of_image)
    return MaskedImages(
        f"draw {seed}", images, masks, tuple(f"{seed}:{k}" for k in range(num_images))
    )


class Looking:
    """Sees a finding by its number, at the image's own resolution."""

    def __init__(self, findings: Sequence[Finding] = tuple(Finding)) -> None:
        self._terms = [finding.term for finding in findings]

    def similarity_map(self, image: NDArray[np.uint8], text: str) -> NDArray[np.float32]:
        return np.where(image == self._terms.index(text) + 1, 0.5, -0.25).astype(np.float32)

    def gradient_map(self, image: NDArray[np.uint8], text: str) -> NDArray[np.float32]:
        return -self.similarity_map(image, text)


class Blind:
    """Says the same of every image."""

    def similarity_map(self, image: NDArray[np.uint8], text: str) -> NDArray[np.float32]:
        return np.full((4, 4), 0.125, np.float32)

    def gradient_map(self, image: NDArray[np.uint8], text: str) -> NDArray[np.float32]:
        return self.similarity_map(image, text)


def test_map_on_image_is_torchs_interpolation_and_undoes_the_padding() -> None:
    small = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)
    expected = functional.interpolate(
        torch.from_numpy(small)[None, None], (40, 40), mode="bilinear"
    )
    np.testing.assert_allclose(on_image(small, 40, 40), expected[0, 0].numpy(), atol=1e-5)
    for height, width in ((40, 24), (24, 40)):
        image = np.full((height, width), 9, np.uint8)
        image[:4, :3] = 200
        square = fit_square(image, 40).astype(np.float32)
        np.testing.assert_array_equal(on_image(square, height, width), image)


def test_pointing_game_of_several_maxima_is_the_share_inside() -> None:
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    assert pointing_game(np.arange(16).reshape(4, 4)[::-1], mask) == 1
    assert pointing_game(np.arange(16).reshape(4, 4), mask) == 0
    assert pointing_game(np.zeros((4, 4)), mask) == mask.mean()


def test_overlap_is_that_of_counted_pixels_at_every_threshold() -> None:
    random = np.random.default_rng(1)
    map_HW = random.integers(0, 7, (20, 30)).astype(float)
    mask = random.random((20, 30)) < 0.2
    thresholds = np.arange(-1, 9) + 0.0
    found = overlap(map_HW, mask, thresholds)
    for number, threshold in enumerate(thresholds):
        chosen = map_HW >= threshold
        both, either = (chosen & mask).sum(), (chosen | mask).sum()
        assert found.iou_T[number] == pytest.approx(both / either)
        assert found.dice_T[number] == pytest.approx(2 * both / (chosen.sum() + mask.sum()))


def test_best_threshold_has_the_highest_mean_dice_of_all_tried() -> None:
    random = np.random.default_rng(2)
    masks = [random.random((12, 12)) < 0.3 for _ in range(5)]
    maps = [mask + random.normal(0, 0.7, mask.shape) for mask in masks]
    threshold = best_threshold(maps, masks)
    best = np.mean(
        [
            2 * ((m >= threshold) & k).sum() / ((m >= threshold).sum() + k.sum())
            for m, k in zip(maps, masks, strict=True)
        ]
    )
    for other in np.linspace(-2, 3, 60):
        dice = np.mean(
            [
                2 * ((m >= other) & k).sum() / ((m >= other).sum() + k.sum())
                for m, k in zip(maps, masks, strict=True)
            ]
        )
        assert dice <= best + 0.01


def test_grounding_of_a_model_that_sees_is_perfect_and_far_above_the_fixed_map() -> None:
    result = evaluate_grounding(Looking(), drawn(1), drawn(2), CONFIG)
    assert set(CONFIG.judgeable()) <= set(result.figures())
    for measure in (Measure.POINTING_GAME, Measure.IOU, Measure.DICE):
        assert result.macro[measure].value == 1
    assert result.macro[Measure.CHANCE].value == pytest.approx(36 / SIDE**2)
    fixed, gain = result.macro[Measure.FIXED_POINTING_GAME], result.macro[Measure.GAIN]
    assert 0 < fixed.value < 0.4
    assert gain.value == pytest.approx(1 - fixed.value)
    assert gain.interval is not None
    assert gain.interval.low < gain.value < gain.interval.high
    assert gain.interval.low > 0.5


def test_grounding_by_gradient_asks_for_the_models_gradient_maps() -> None:
    config = CONFIG.model_copy(update={"maps": MapSource.GRADIENT})
    result = evaluate_grounding(Looking(), drawn(1), drawn(2), config)
    assert result.macro[Measure.POINTING_GAME].value == 0, "they point everywhere else"
    assert result.as_dict()["settings"]["maps"] == "gradient"


def test_grounding_of_a_blind_model_is_chance() -> None:
    result = evaluate_grounding(Blind(), drawn(1), drawn(2), CONFIG)
    assert result.macro[Measure.POINTING_GAME].value == pytest.approx(36 / SIDE**2)
    share = 36 / SIDE**2
    assert result.macro[Measure.DICE].value == pytest.approx(2 * share / (1 + share))


def test_grounding_threshold_comes_from_validation_alone() -> None:
    """A test draw with other values cannot move it."""
    validation = drawn(1)
    first, second = (
        evaluate_grounding(Looking(), validation, drawn(seed), CONFIG) for seed in (2, 3)
    )
    thresholds = [one.per_finding[Finding.ATELECTASIS].threshold for one in (first, second)]
    assert thresholds[0] == thresholds[1]
    assert thresholds[0] is not None
    assert -0.25 < thresholds[0] <= 0.5


def test_grounding_macro_is_the_mean_over_findings_seen_and_others_say_why() -> None:
    seen = (Finding.ATELECTASIS, Finding.CARDIOMEGALY)
    result = evaluate_grounding(
        Looking(), drawn(1), drawn(2, findings=(*seen, Finding.EDEMA)), CONFIG
    )
    edema = evaluate_grounding(Looking(), drawn(1, findings=seen), drawn(2), CONFIG).per_finding[
        Finding.CONSOLIDATION
    ]
    assert edema.reason == "undefined: no validation image shows it"
    assert result.per_finding[Finding.CONSOLIDATION].reason == "undefined: no test image shows it"
    assert result.per_finding[Finding.CONSOLIDATION].figures == {}
    values = [result.per_finding[finding].figures[Measure.POINTING_GAME].value for finding in seen]
    assert result.macro[Measure.POINTING_GAME].value == pytest.approx(np.mean(values))
    nothing = evaluate_grounding(Looking(), drawn(1), drawn(2, findings=()), CONFIG)
    assert nothing.macro == {}
    assert set(nothing.as_dict()["per_finding"]) == {finding.value for finding in Finding}


def test_grounding_of_one_draw_with_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="must share no patient, share 60; draw them"):
        evaluate_grounding(Looking(), drawn(1), drawn(1), CONFIG)


def test_masked_phantoms_are_the_heldout_ones_with_the_masks_of_their_findings() -> None:
    with_size = engine_config("painters", {"kind": "phantom", "image_size_px": 64})
    painter, vocabulary = with_size.open(), load_vocabulary()
    masked = masked_phantoms(painter, 30, 5, vocabulary, "masked")
    labelled = heldout_phantoms(painter, 30, 5, vocabulary)
    assert all(np.array_equal(*pair) for pair in zip(masked.images, labelled.images, strict=True))
    for masks, labels in zip(masked.masks, labelled.labels_NF, strict=True):
        assert set(masks) == {f for f, label in zip(Finding, labels, strict=True) if label}
    assert masked.groups == labelled.groups
    shown = [mask for finding in Finding for _, _, mask in masked.showing(finding)]
    assert all(0 < mask.mean() < 1 for mask in shown)
    assert len(shown) > 0.9 * labelled.labels_NF.sum()


def test_masked_images_of_other_sizes_are_refused() -> None:
    image, mask = np.zeros((4, 4), np.uint8), np.zeros((4, 5), bool)
    with pytest.raises(
        ValueError, match=r"image's size \(4, 4\), got \(4, 5\) for Mass of image 0"
    ):
        MaskedImages("x", [image], [{Finding.MASS: mask}], ("a",))
    with pytest.raises(ValueError, match="for each of 1 images, got 0 and 1"):
        MaskedImages("x", [image], [], ("a",))
