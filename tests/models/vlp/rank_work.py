"""What the processes of a test's run do; a module of its own, since it crosses by name."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from models.vlp.cached_batches import backward_in_chunks, backward_in_shares
from models.vlp.checkpoint import TrainingProvenance
from models.vlp.configs import PretrainingConfig
from models.vlp.data import PairSource
from models.vlp.model import VisionLanguageModel
from models.vlp.ranks import Ranks
from models.vlp.shared_norms import share_norms
from models.vlp.trainer import train_share
from models.vlp.training_pairs import ReleaseData

from .rank_faults import refuse_as_the_second
from .test_cached_batches import batch, build

PROVENANCE = TrainingProvenance('{"name": "demo"}', "demo", "1", "0.1.0")


def compare_train_and_refuse(
    config: PretrainingConfig, source: PairSource, folder: Path, ranks: Ranks
) -> None:
    """All in one start: each process takes seconds to import what it needs."""
    torch.set_num_threads(1)
    for kind in ("convirt", "clip", "gloria", "mgca"):
        compare_gradients(build(kind, "narrow-resnet", torch.float64), ranks, 0)
        compare_gradients(build(kind, "timm/test_vit", torch.float64), ranks, 2)
    compare_gradients(build("mgca", "timm/test_vit", torch.float64), ranks, 0)
    train_share(config, ReleaseData(source), folder, PROVENANCE, None, ranks)
    refuse_as_the_second(ranks)


def compare_gradients(alone: VisionLanguageModel, ranks: Ranks, chunk_size: int) -> None:
    """Of a batch that the processes share, against the same batch in this process."""
    shared = copy.deepcopy(alone)
    shared.image_tower = share_norms(shared.image_tower, ranks)
    images, ids = batch(torch.float64)
    images, ids = torch.cat([images, images.flip(3)]), [torch.cat([one, one]) for one in ids]
    own = ranks.rows(len(images))
    shares = (shared, images[own], [one[own] for one in ids], 2.0, torch.float32)
    if chunk_size:
        loss = backward_in_chunks(*shares, chunk_size, ranks)
    else:
        loss = backward_in_shares(*shares, ranks)
    towers = [*shared.image_tower.parameters(), *shared.text_tower.parameters()]
    ranks.sum_gradients(towers, shared.objective.parameters())
    whole = alone.loss(images, ids, 2.0)
    torch.autograd.backward(whole.total)
    torch.testing.assert_close(loss.total, whole.total.detach(), rtol=1e-10, atol=0)
    expected = gradients(alone)
    scale = max(gradient.abs().max().item() for gradient in expected.values())
    found = gradients(shared)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max() < 1e-10 * scale, name
    for name, value in alone.state_dict().items():  # running averages
        torch.testing.assert_close(shared.state_dict()[name], value, rtol=1e-9, atol=1e-12)


def gradients(model: VisionLanguageModel) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
