"""Batch normalisation over a batch that several processes share."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from models.vlp.ranks import Ranks

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d)


class SharedBatchNorm(_BatchNorm):
    """Statistics over everybody's rows, for CPUs: torch's own `SyncBatchNorm` has no kernel there.

    Every process must hold equally many rows.
    """

    def __init__(self, norm: _BatchNorm, ranks: Ranks) -> None:
        """Take the place, the weights and the running averages of a norm."""
        assert norm.affine and norm.momentum is not None
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.ranks = ranks
        self.train(norm.training)

    def forward(self, values: Tensor) -> Tensor:
        """Normalised values; in training their statistics are gathered, and counted once."""
        if not self.training:
            return super().forward(values)
        others = [axis for axis in range(values.ndim) if axis != 1]
        per_channel = [1, -1] + [1] * (values.ndim - 2)
        mean_C = self._over_ranks(values.mean(dim=others))
        centred = values - mean_C.view(per_channel)
        variance_C = self._over_ranks(centred.square().mean(dim=others))
        if self.track_running_stats:
            self._count(mean_C, variance_C, values.numel() // self.num_features)
        scale_C = self.weight * (variance_C + self.eps).rsqrt()
        return centred * scale_C.view(per_channel) + self.bias.view(per_channel)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of sides."""

    def _over_ranks(self, means_C: Tensor) -> Tensor:
        summed_C: Tensor = _SumOverRanks.apply(means_C, self.ranks)
        return summed_C / self.ranks.count

    @torch.no_grad()
    def _count(self, mean_C: Tensor, variance_C: Tensor, num_own: int) -> None:
        assert self.momentum is not None and self.num_batches_tracked is not None
        assert self.running_mean is not None and self.running_var is not None
        num_all = num_own * self.ranks.count
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean_C, self.momentum)
        self.running_var.lerp_(variance_C * num_all / (num_all - 1), self.momentum)


class _SumOverRanks(torch.autograd.Function):
    """The sum of everybody's values; what each adds goes into all results, so gradients sum too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.sum(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.sum(gradient), None


def share_norms(tower: nn.Module, ranks: Ranks) -> nn.Module:
    """The same tower and weights, its batch normalisations over everybody's rows.

    Raises:
        ValueError: On a CPU, if the tower has batch normalisations of its own making.
    """
    if ranks.count == 1:
        return tower
    if ranks.device.type == "cuda":
        from timm.layers.norm_act import convert_sync_batchnorm

        # knows torch's and timm's own
        return convert_sync_batchnorm(tower)  # type: ignore[no-untyped-call,no-any-return]
    for parent in list(tower.modules()):
        for name, part in parent.named_children():
            if isinstance(part, _PLAIN):
                setattr(parent, name, SharedBatchNorm(part, ranks))
            elif isinstance(part, _BatchNorm) and not isinstance(part, SharedBatchNorm):
                raise ValueError(
                    f"several processes on a CPU need a tower with torch's own batch norms, got "
                    f"{type(part).__name__}; set num_processes: 1 or name another tower"
                )
    return tower
