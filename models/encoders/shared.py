"""One loaded encoder for all gates of a process that name the same."""

from functools import lru_cache
from typing import Any

from models.engines import EngineConfig


def open_encoder(config: EngineConfig) -> Any:
    """The encoder of a config, loaded at the first call of this process.

    Gates stand beside a painter on its device: weights that two of them share lie there once.

    Raises:
        EngineUnavailable: If its weights are missing.
    """
    return _opened(config, config.revision())


@lru_cache(maxsize=4)
def _opened(config: EngineConfig, _revision: str) -> Any:
    return config.open()
