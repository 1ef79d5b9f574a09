"""The processes that share one training run, one a GPU, and what they tell each other.

Each holds the whole model and a share of every batch. A contrastive loss compares every pair with
every other, so that it is no mean over shares: towers run on a process's own rows, their outputs
are gathered, and every process computes the one loss of the whole batch.

What process they are and the collective operations come from accelerate; decision 0009 says why
its wrapping of models does not.

Shape suffixes: B batch of all processes, C channels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.devices import device_named


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that share a run.

    Attributes:
        number: Its own, from 0.
        count: Of them all.
        device: Where this one computes.
    """

    number: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True for the one that writes log and checkpoints."""
        return self.number == 0

    def rows(self, num_pairs: int) -> slice:
        """This process's share of a batch; `num_pairs` must be a multiple of `count`."""
        share = num_pairs // self.count
        return slice(self.number * share, (self.number + 1) * share)

    def gather(self, values_BC: Tensor) -> Tensor:
        """Everybody's rows of equal shapes, in the order of numbers, without a graph."""
        if self.count == 1:
            return values_BC.detach()
        from accelerate.utils import gather

        gathered: Tensor = gather(values_BC.detach())
        return gathered

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same bits on each."""
        if self.count == 1:
            return values
        from accelerate.utils import reduce

        summed: Tensor = reduce(values, "sum")
        return summed

    def sum_gradients(
        self, of_own_rows: Iterable[nn.Parameter], of_all_rows: Iterable[nn.Parameter]
    ) -> None:
        """Put the whole batch's gradient beside every weight, the same bits in every process.

        Args:
            of_own_rows: Weights that saw this process's rows: their gradients are parts of a sum.
            of_all_rows: Weights that saw everybody's: theirs are whole already, up to rounding.
        """
        if self.count == 1:
            return
        parts = [weight.grad for weight in of_own_rows if weight.grad is not None]
        wholes = [weight.grad for weight in of_all_rows if weight.grad is not None]
        for whole in wholes:
            whole.div_(self.count)
        _sum_in_one_go(self, [*parts, *wholes])

    def wait(self) -> None:
        """Until all have come this far."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()


def alone(device: str) -> Ranks:
    """The one process of a run.

    Raises:
        ValueError: If a GPU is named and there is none.
    """
    return Ranks(0, 1, device_named(device))


def joined(device: str) -> Ranks:
    """This process among those that torchrun started; each takes the GPU of its number.

    Args:
        device: Of the plan; `cpu` keeps all of them off the GPUs.
    """
    from accelerate import PartialState

    state = PartialState(cpu=device_named(device).type == "cpu")
    return Ranks(state.process_index, state.num_processes, state.device)


def part(ranks: Ranks) -> None:
    """Leave them, once all have come to this point."""
    from accelerate import PartialState

    ranks.wait()
    PartialState().destroy_process_group()


def _sum_in_one_go(ranks: Ranks, gradients: Sequence[Tensor]) -> None:
    """One message of all gradients: hundreds of small ones would each wait for the slowest."""
    flat = ranks.sum(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))
