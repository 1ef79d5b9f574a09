import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.vlp.losses import contrastive_loss, equal_rows


def unit_rows(count: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, 6, generator=random, dtype=torch.float64), dim=1)


def plain_infonce(
    image: Tensor, text: Tensor, temperature: float, weight: float, ignored: set[tuple[int, int]]
) -> float:
    """Equations 1 to 3 of Zhang et al. 2020, one pair and one term at a time."""
    count = len(image)

    def similarity(i: int, j: int) -> float:
        return sum(float(image[i, k] * text[j, k]) for k in range(image.shape[1])) / temperature

    loss = 0.0
    for i in range(count):
        others = [j for j in range(count) if (i, j) not in ignored]
        own = math.exp(similarity(i, i))
        to_text = -math.log(own / sum(math.exp(similarity(i, j)) for j in others))
        to_image = -math.log(own / sum(math.exp(similarity(j, i)) for j in others))
        loss += weight * to_text + (1 - weight) * to_image
    return loss / count


@pytest.mark.parametrize(("temperature", "weight"), [(0.1, 0.75), (0.07, 0.5), (1.0, 0.0)])
def test_contrastive_loss_float64_equals_plain_equations(temperature: float, weight: float) -> None:
    image, text = unit_rows(9, 1), unit_rows(9, 2)
    total, _, _ = contrastive_loss(image, text, temperature, weight)
    assert total.item() == pytest.approx(
        plain_infonce(image, text, temperature, weight, set()), rel=1e-12
    )


def test_contrastive_loss_masked_pair_leaves_both_denominators() -> None:
    image, text = unit_rows(5, 3), unit_rows(5, 4)
    ignored = torch.zeros(5, 5, dtype=torch.bool)
    ignored[0, 3] = ignored[3, 0] = True
    total, _, _ = contrastive_loss(image, text, 0.1, 0.75, ignored)
    expected = plain_infonce(image, text, 0.1, 0.75, {(0, 3), (3, 0)})
    assert total.item() == pytest.approx(expected, rel=1e-12)


def test_contrastive_loss_all_ignored_is_zero_not_nan() -> None:
    image, text = unit_rows(4, 5), unit_rows(4, 6)
    total, _, _ = contrastive_loss(image, text, 0.1, 0.5, torch.ones(4, 4, dtype=torch.bool))
    assert total.item() == 0


def test_contrastive_loss_unequal_batches_raises_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(3, 6\) and \(4, 6\)"):
        contrastive_loss(unit_rows(3, 1), unit_rows(4, 2), 0.1)


def test_contrastive_loss_float32_gradient_agrees_with_finite_differences() -> None:
    image, text = unit_rows(4, 7).requires_grad_(), unit_rows(4, 8).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: contrastive_loss(a, b, 0.2, 0.75)[0], (image, text)
    )


def test_equal_rows_finds_duplicates_only() -> None:
    tokens = torch.tensor([[2, 3, 0], [2, 4, 0], [2, 3, 0]])
    assert equal_rows(tokens).int().tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
