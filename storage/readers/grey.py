"""Numbers of any depth as grey levels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def full_range(
    values: NDArray[Any], considered: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Values from their lowest to their highest as 0..1; the depth they came in says little.

    A detector of 12 bits is stored in 16, and by its container's range would be nearly black.

    Args:
        values: Of an image, finite.
        considered: Where they count; elsewhere they may come out below 0 or above 1.
    """
    counted = values if considered is None or not considered.any() else values[considered]
    low, high = float(counted.min()), float(counted.max())
    return (values.astype(np.float32) - low) / max(high - low, 1e-6)


def eight_bits(shown: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey of 0..1 as 0..255, rounded; what lies outside is clipped."""
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
