import numpy as np
import pytest
import torch

from models.vlp.configs import AugmentationConfig
from models.vlp.images import as_input, fit_square, random_moves, random_views, training_image
from storage.errors import DamagedObject

STILL = AugmentationConfig(
    min_crop=1, rotation_degrees=0, translation=0, brightness=0, contrast=0, blur_probability=0
)


FIXED_CROP = {"min_crop": 0.875, "max_crop": 0.875}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 6, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 1, side, side, generator=generator(9)) * 2 - 1


def test_random_views_with_nothing_to_vary_are_the_images() -> None:
    torch.testing.assert_close(random_views(pictures(), STILL, generator()), pictures())


def test_random_views_are_a_function_of_the_generator() -> None:
    config = AugmentationConfig(blur_probability=0.5)
    first, again = (random_views(pictures(), config, generator(4)) for _ in range(2))
    other = random_views(pictures(), config, generator(5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_random_views_never_mirror_by_default() -> None:
    image = torch.full((64, 1, 32, 32), -1.0)
    image[..., 12:20, 2:8] = 1.0
    views = random_views(image, AugmentationConfig(), generator())
    assert (views[..., :16].mean(dim=(1, 2, 3)) > views[..., 16:].mean(dim=(1, 2, 3))).all()


def test_random_views_flip_mirrors_half_when_asked() -> None:
    image = torch.full((200, 1, 16, 16), -1.0)
    image[..., :4] = 1.0
    views = random_views(image, STILL.model_copy(update={"horizontal_flip": True}), generator())
    assert 70 < int((views[:, 0, 0, -1] > 0).sum()) < 130


def test_random_views_outside_the_image_are_black() -> None:
    config = STILL.model_copy(update={"translation": 0.5})
    views = random_views(torch.ones(32, 1, 16, 16), config, generator())
    assert views.min() == pytest.approx(-1)


def test_random_views_blur_keeps_the_mean_and_lowers_the_spread() -> None:
    config = STILL.model_copy(update={"blur_probability": 1.0})
    flat, blurred = pictures(), random_views(pictures(), config, generator())
    assert blurred.mean().item() == pytest.approx(flat.mean().item(), abs=0.02)
    assert (blurred.std(dim=(1, 2, 3)) < flat.std(dim=(1, 2, 3))).all()


def test_fit_square_keeps_proportions_and_pads_with_black() -> None:
    square = fit_square(np.full((20, 40), 200, np.uint8), 32)
    assert square.shape == (32, 32)
    assert (square[8:24] == 200).all()
    assert not square[:8].any()
    assert not square[24:].any()


def test_as_input_maps_grey_levels_to_minus_one_and_one() -> None:
    levels = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    assert as_input(levels).flatten().tolist() == [-1, 1]


def test_training_image_damaged_bytes_name_the_sample() -> None:
    with pytest.raises(DamagedObject, match="image of sample 7:"):
        training_image(b"no image", 32, "sample 7")


def test_random_views_with_a_fixed_crop_are_that_crop_anywhere_inside_the_image() -> None:
    """As MGCA takes 224 of 256 px."""
    moves_B23 = random_moves(500, STILL.model_copy(update=FIXED_CROP), generator())
    torch.testing.assert_close(moves_B23[:, :, :2], 0.875 * torch.eye(2).expand(500, 2, 2))
    reached = moves_B23[:, :, 2].abs()
    assert 0.12 < reached.max() <= 0.125
    views = random_views(
        torch.ones(32, 1, 16, 16), STILL.model_copy(update=FIXED_CROP), generator()
    )
    assert views.min() > 0.85  # between the outermost pixel and the edge, half is taken


def test_augmentation_of_a_largest_crop_below_the_smallest_says_so() -> None:
    with pytest.raises(ValueError, match=r"max_crop must be at least min_crop 0\.92, got 0\.9"):
        AugmentationConfig(max_crop=0.9)


def test_largest_crop_is_told_where_it_was_chosen_so_that_older_runs_stay_the_same() -> None:
    assert "max_crop" not in AugmentationConfig().model_dump()
    chosen = AugmentationConfig(max_crop=0.95)
    assert AugmentationConfig.model_validate_json(chosen.model_dump_json()) == chosen
