"""What a training plan leaves to the host and to the data: device, precision, size of a batch."""

import torch

from models.vlp.configs import TrainingConfig


def pairs_per_step(settings: TrainingConfig, num_pairs: int) -> int:
    """The planned batch, or all pairs where there are fewer.

    Raises:
        ValueError: If there are too few, or the batch is no whole number of chunks.
    """
    if num_pairs < 2:
        raise ValueError(
            f"training needs at least 2 pairs to contrast, got {num_pairs}; generate more"
        )
    batch_size = min(settings.batch_size, num_pairs)
    if settings.chunk_size and batch_size % settings.chunk_size:
        raise ValueError(
            f"chunk_size must divide the batch of {batch_size} pairs, got {settings.chunk_size}; "
            "choose another, so that no chunk is a rest"
        )
    return batch_size


def device_named(name: str) -> torch.device:
    """The device; auto: a GPU where there is one.

    Raises:
        ValueError: If a GPU is named and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device must be one this host has, got {name!r}; try auto or cpu")
    return torch.device(name)


def tower_precision(settings: TrainingConfig, device: torch.device) -> torch.dtype:
    """What the towers compute in; auto: bfloat16 on a GPU."""
    if settings.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
