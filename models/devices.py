"""Where neural models compute, and in what: the choices that plans leave to the host."""

import torch


def best_device() -> torch.device:
    """The GPU of this process, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_named(name: str) -> torch.device:
    """The device; auto: a GPU where there is one.

    Raises:
        ValueError: If a GPU is named and there is none.
    """
    if name == "auto":
        return best_device()
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device must be one this host has, got {name!r}; try auto or cpu")
    return torch.device(name)


def processes_named(number: int | str, device: str) -> int:
    """How many processes share a batch; auto: one for each GPU there is, else one.

    Args:
        number: At least 1, or auto.
        device: As for `device_named`; on the CPU any number may share, on GPUs one each.

    Raises:
        ValueError: If there are fewer GPUs than that.
    """
    if number == 1:
        return 1
    num_gpus = 0 if device == "cpu" else torch.cuda.device_count()
    if number == "auto":
        return max(1, num_gpus)
    if num_gpus and int(number) > num_gpus:
        raise ValueError(
            f"num_processes must be at most the {num_gpus} GPUs of this host, got {number}; "
            "try auto"
        )
    return int(number)


def precision_named(name: str, device: torch.device) -> torch.dtype:
    """What to train in: float32 or bfloat16; auto: bfloat16 on a GPU."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32
