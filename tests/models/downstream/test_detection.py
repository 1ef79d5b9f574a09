"""A detector on an image tower, and average precision against known answers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.downstream import average_precision
from models.downstream.average_precision import (
    COCO_THRESHOLDS,
    MGCA_THRESHOLDS,
    Boxes,
    average_precisions,
    hits,
    resampled_precisions,
)
from models.downstream.boxed_images import BoxedImages, BoxedSplits, FindingBox, boxed
from models.downstream.dense_configs import DetectionConfig, EncoderUse
from models.downstream.dense_measures import DetectionMeasure
from models.downstream.detection import evaluate_detection
from models.downstream.detector import from_square, moved_boxes, to_square
from models.downstream.masked_images import MaskedImages
from models.vlp.configs import AugmentationConfig
from models.vlp.images import draw_views, fit_square, moved
from models.vocabulary.findings import Finding

from .masked_sets import BAR, SIDE, SQUARE, drawn_splits, tiny_model


def config(**changes: Any) -> DetectionConfig:
    settings = {
        "findings": (SQUARE, BAR),
        "encoder": EncoderUse.FINE_TUNED,
        "shares": (1.0,),
        "steps": 50,
        "validate_every_steps": 25,
        "batch_size": 8,
        "learning_rate": 5e-3,
        "pyramid_width": 32,
        "num_resamples": 100,
        "device": "cpu",
    }
    return DetectionConfig.model_validate(settings | changes)


def boxed_splits(num_train: int = 80) -> BoxedSplits:
    masked = drawn_splits(num_train)
    return BoxedSplits(boxed(masked.train), boxed(masked.validation), boxed(masked.test))


def boxes(*rows: tuple[float, float, float, float, int, float]) -> Boxes:
    """Left, top, right, bottom, column, score of each."""
    table = np.array(rows, np.float64).reshape(len(rows), 6)
    return Boxes(table[:, :4], table[:, 4].astype(np.int64), table[:, 5])


NONE = boxes()


def random_sets(seed: int) -> tuple[list[Boxes], list[Boxes]]:
    """Detections and known boxes of 30 images: some near, some false, some missing."""
    random = np.random.default_rng(seed)

    def anywhere(count: int) -> Boxes:
        low = random.random((count, 2)) * 40
        corners = np.concatenate([low, low + 4 + random.random((count, 2)) * 30], axis=1)
        return Boxes(corners, random.integers(0, 2, count), random.random(count).round(1))

    known = [anywhere(int(random.integers(0, 4))) for _ in range(30)]
    found = []
    for one in known:
        false = anywhere(int(random.integers(0, 4)))
        near = one.corners_D4 + random.normal(0, 1.5, one.corners_D4.shape)
        corners = np.concatenate([false.corners_D4, near])
        columns = np.concatenate([false.columns_D, one.columns_D])
        found.append(Boxes(corners, columns, random.random(len(corners)).round(1)))
    return found, known


@pytest.mark.parametrize("thresholds", [MGCA_THRESHOLDS, COCO_THRESHOLDS])
def test_precision_of_equal_weights_is_pycocotools(thresholds: tuple[float, ...]) -> None:
    for seed in range(3):
        found, known = random_sets(seed)
        expected = average_precisions(found, known, 2, thresholds)
        assert 0 < expected.min() < expected.max() < 1
        for column in range(2):
            ones = np.ones((1, len(known)))
            own = resampled_precisions(found, known, column, thresholds, ones)
            assert own.mean() == pytest.approx(expected[column], abs=1e-7)


def test_precision_of_weights_is_that_of_images_repeated() -> None:
    found, known = random_sets(5)
    counts = np.random.default_rng(0).integers(0, 3, len(known))
    weighted = resampled_precisions(found, known, 0, (0.5,), counts[None].astype(float))
    again = [np.repeat(np.arange(len(known)), counts)][0]
    expected = average_precisions([found[k] for k in again], [known[k] for k in again], 2, (0.5,))
    assert weighted[0, 0] == pytest.approx(expected[0], abs=0.02), "ties of a score aside"


def test_precision_of_many_resamples_is_theirs_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found, known = random_sets(5)
    weights_RN = np.random.default_rng(0).integers(0, 3, (7, len(known))).astype(float)
    whole = resampled_precisions(found, known, 0, MGCA_THRESHOLDS, weights_RN)
    monkeypatch.setattr(average_precision, "_WEIGHTS_AT_ONCE", 1)
    assert np.array_equal(
        resampled_precisions(found, known, 0, MGCA_THRESHOLDS, weights_RN), whole, equal_nan=True
    )


def test_precision_of_known_answers() -> None:
    known = [boxes((0, 0, 10, 10, 0, 1)), boxes((5, 5, 20, 20, 0, 1)), NONE]

    def measured(*found: Boxes) -> float:
        (value,) = average_precisions(found, known, 1, MGCA_THRESHOLDS)
        own = resampled_precisions(found, known, 0, MGCA_THRESHOLDS, np.ones((1, 3))).mean()
        assert own == pytest.approx(value, abs=1e-6)
        return float(value)

    perfect = boxes((0, 0, 10, 10, 0, 0.9)), boxes((5, 5, 20, 20, 0, 0.8))
    assert measured(*perfect, NONE) == pytest.approx(1)
    assert measured(NONE, NONE, NONE) == 0
    assert measured(perfect[0], NONE, NONE) == pytest.approx(51 / 101), "what is missed counts"
    assert measured(*perfect, boxes((0, 0, 9, 9, 0, 0.1))) == pytest.approx(1), "unsure, and last"
    false_first = boxes((0, 0, 9, 9, 0, 0.95))
    assert measured(*perfect, false_first) == pytest.approx(2 / 3, abs=1e-6)


def test_box_is_found_once_and_by_the_surest() -> None:
    known = boxes((0, 0, 10, 10, 0, 1))
    twice = boxes((0, 0, 10, 9, 0, 0.9), (0, 0, 10, 10, 0, 0.5))
    assert hits(twice, known, (0.5, 0.95)).tolist() == [[True, False], [False, True]]


def test_boxes_go_into_the_square_and_back_as_the_pixels_do() -> None:
    for height, width in ((40, 24), (24, 40), (50, 50)):
        corners = np.array([[4.0, 6, 20, 18]])
        square = to_square(corners, 96, height, width)
        np.testing.assert_allclose(from_square(square, 96, height, width), corners)
        image = np.zeros((height, width), np.uint8)
        image[6:18, 4:20] = 255
        rows, columns = np.nonzero(fit_square(image, 96) >= 128)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(square[0], seen, atol=1)


def test_moved_boxes_frame_what_the_view_shows() -> None:
    random = torch.Generator().manual_seed(0)
    free = AugmentationConfig(min_crop=0.7, rotation_degrees=0, translation=0.1)
    images = torch.full((20, 1, 64, 64), -1.0)
    images[:, :, 20:30, 24:44] = 1
    moves = draw_views(20, free, random).moves_B23
    for view, move in zip(moved(images, moves), moves, strict=True):
        rows, columns = torch.nonzero(view[0] > 0, as_tuple=True)
        framed, left = moved_boxes(torch.tensor([[24.0, 20, 44, 30]]), move, 64)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(framed[0], expected, atol=1)
        assert left.all()
    outside = torch.tensor([[1.0, 0, 3], [0, 1.0, 0]])
    assert not moved_boxes(torch.tensor([[24.0, 20, 44, 30]]), outside, 64)[1].any()


def test_boxes_frame_the_pieces_of_a_mask_without_its_crumbs() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[2:12, 3:9] = mask[20:26, 20:30] = mask[30, 0] = True
    image = np.zeros((SIDE, SIDE), np.uint8)
    (found,) = boxed(MaskedImages("x", [image], [{SQUARE: mask, BAR: mask & False}], ("a",))).boxes
    assert found == [FindingBox(SQUARE, 3, 2, 9, 12), FindingBox(SQUARE, 20, 20, 30, 26)]


def test_detection_is_repeatable() -> None:
    wanted = config(steps=2)
    first, second = (evaluate_detection(tiny_model(), boxed_splits(20), wanted) for _ in range(2))
    assert first.as_dict() == second.as_dict()
    assert set(wanted.judgeable()) <= set(first.figures())


def test_detection_learns_drawn_shapes_and_leaves_the_model_alone() -> None:
    model, splits = tiny_model(), boxed_splits()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (full,) = evaluate_detection(model, splits, config()).shares
    values = {measure: full.macro[measure].value for measure in DetectionMeasure}
    assert values[DetectionMeasure.MGCA] > 0.3, values
    assert values[DetectionMeasure.COCO] < values[DetectionMeasure.MGCA]
    gain = values[DetectionMeasure.MGCA] - values[DetectionMeasure.UNTRAINED_MGCA]
    assert values[DetectionMeasure.MGCA_GAIN] == pytest.approx(gain)
    for finding in (SQUARE, BAR):
        figure = full.per_finding[finding].figures[DetectionMeasure.MGCA]
        assert figure.interval is not None
        assert figure.interval.low <= figure.value <= figure.interval.high
    after = model.state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())


def test_detector_that_finds_nothing_has_no_precision() -> None:
    (full,) = evaluate_detection(tiny_model(), boxed_splits(20), config(steps=1)).shares
    assert full.macro[DetectionMeasure.MGCA].value < 0.05


def test_bad_boxes_are_one_line() -> None:
    splits = boxed_splits(20)
    bare = replace(splits, train=replace(splits.train, boxes=[[] for _ in range(20)]))
    with pytest.raises(ValueError, match="train of 'held out' must have a finding both present"):
        evaluate_detection(tiny_model(), bare, config())
    with pytest.raises(ValueError, match="with stages, whose maps shrink, got TimmTower with"):
        evaluate_detection(tiny_model("timm/vit_tiny_patch16_224"), splits, config(steps=1))
    image: NDArray[np.uint8] = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="must be wide and high, got FindingBox"):
        BoxedImages("x", [image], [[FindingBox(Finding.MASS, 2, 0, 2, 3)]], ("a",))
    with pytest.raises(ValueError, match="for each of 1 images, got 0 and 1"):
        BoxedImages("x", [image], [], ("a",))
