"""What torch raises when there is no memory left, told from its other errors."""

import torch

_MESSAGES = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory")


def is_out_of_memory(error: RuntimeError) -> bool:
    """True for what torch raises when a device, a CUDA library or the host has no memory left."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return any(message in str(error) for message in _MESSAGES)
