"""Floating-point operations of work that is not done, counted by torch's own counter.

It goes by the shapes that pass through a network: a multiplication and an addition of a matrix
product, a convolution or attention are two operations. Element-wise work, normalisation, the
optimiser and the making of image views are left out, and so is all that moves data; of grouped
convolutions torch counts too many in the backward pass. What a device achieves of its speed is no
part of it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@contextmanager
def without_values() -> Iterator[None]:
    """Networks and tensors made inside have shapes, but neither values nor memory.

    Raises:
        ValueError: If what is made or computed inside depends on values.
    """
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    except RuntimeError as error:
        raise ValueError(
            f"cannot be counted from shapes alone: {' '.join(str(error).split())[:200]}"
        ) from error


def architecture(build: Callable[[], nn.Module], made_on: str) -> nn.Module:
    """A network without weights; call it `without_values`.

    Args:
        build: Makes it. Libraries look at numbers of their own meanwhile, which have values.
        made_on: Device that it is made on: meta holds nothing.
    """
    with unset_fake_temporarily(), torch.device(made_on):
        network = build()
    return network.to_empty(device="cpu")


def operations(work: Callable[[], object]) -> int:
    """FLOP of what `work` computes."""
    # Plain attention: the counter has no formula for the kernel that a CPU would take.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def forward_operations(forward: Callable[[], object]) -> int:
    """FLOP of a pass without gradients."""
    with torch.no_grad():
        return operations(forward)


def step_operations(forward: Callable[[], Sequence[Tensor]]) -> int:
    """FLOP of a pass forward and back, from all of its outputs to the weights."""

    def both_ways() -> None:
        total = torch.stack([output.sum() for output in forward()]).sum()
        torch.autograd.backward(total)

    return operations(both_ways)
