import copy

import pytest
import torch
from torch import Tensor

from models.vlp.cached_batches import backward_in_chunks
from models.vlp.configs import ImageTowerConfig, PretrainingConfig, TextTowerConfig
from models.vlp.model import VisionLanguageModel
from models.vlp.objectives import objective_config
from models.vlp.ranks import alone
from models.vlp.tokenizer import WordTokenizer

IDS = torch.tensor([[2, 3, 0], [4, 5, 6], [7, 0, 0], [3, 3, 2], [8, 2, 0], [6, 7, 8]])


def build(kind: str, tower: str, dtype: torch.dtype, dropout: float = 0) -> VisionLanguageModel:
    torch.manual_seed(0)
    config = PretrainingConfig(
        objective=objective_config({"kind": kind, "embedding_size": 16}),
        image_tower=ImageTowerConfig(name=tower, image_size_px=32, width=8),
        text_tower=TextTowerConfig(width=16, num_heads=2, max_tokens=8, dropout=dropout),
    )
    tokenizer = WordTokenizer.train(["no effusion large heart"], 10, 1)
    return VisionLanguageModel(config, tokenizer).to(dtype).train()


def batch(dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    random = torch.Generator().manual_seed(3)
    images = torch.rand(6, 1, 32, 32, generator=random, dtype=torch.float64) * 2 - 1
    return images.to(dtype), [IDS, IDS.flip(0)]


def gradients(
    model: VisionLanguageModel, dtype: torch.dtype, chunk_size: int
) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of one batch; a chunk size of 0: in one piece."""
    images, ids = batch(dtype)
    torch.manual_seed(42)
    if chunk_size:
        chunked = backward_in_chunks(
            model, images, ids, 2.0, torch.float32, chunk_size, alone("cpu")
        )
        loss = chunked.total
    else:
        loss = model.loss(images, ids, 2.0).total
        torch.autograd.backward(loss)
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return loss.item(), found


@pytest.mark.parametrize("kind", ["convirt", "clip", "gloria", "mgca"])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_chunks_give_the_gradient_of_the_whole_batch(
    kind: str, dtype: torch.dtype, within: float
) -> None:
    model = build(kind, "timm/test_vit", dtype)
    whole_loss, whole = gradients(copy.deepcopy(model), dtype, 0)
    for chunk_size in (1, 2, 4):
        loss, chunked = gradients(copy.deepcopy(model), dtype, chunk_size)
        assert loss == pytest.approx(whole_loss, rel=within)
        assert chunked.keys() == whole.keys()
        largest = max(gradient.abs().max() for gradient in whole.values())
        for name, gradient in whole.items():
            assert (chunked[name] - gradient).abs().max() < within * largest, name


def test_chunks_draw_the_same_dropout_in_both_passes() -> None:
    """One chunk is the whole batch, so only a second draw could tell them apart."""
    model = build("gloria", "timm/test_vit", torch.float64, dropout=0.5)
    _, whole = gradients(copy.deepcopy(model), torch.float64, 0)
    _, chunked = gradients(copy.deepcopy(model), torch.float64, 6)
    for name, gradient in whole.items():
        torch.testing.assert_close(chunked[name], gradient, rtol=1e-9, atol=1e-12)


def test_chunks_move_batch_norms_averages_once_each() -> None:
    model = build("mgca", "narrow-resnet", torch.float64)
    gradients(model, torch.float64, 3)
    counted = {v.item() for n, v in model.state_dict().items() if n.endswith("batches_tracked")}
    assert counted == {2}
    by_hand = build("mgca", "narrow-resnet", torch.float64)
    images, _ = batch(torch.float64)
    with torch.no_grad():
        for half in (images[:3], images[3:]):
            by_hand.image_tower(half)
    for name, value in by_hand.image_tower.state_dict().items():
        torch.testing.assert_close(model.image_tower.state_dict()[name], value)
