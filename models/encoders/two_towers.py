"""Encoders of images and texts, told from those of images alone."""

from models.engines import EngineConfig


class TwoTowerConfig(EngineConfig):
    """Base of the config of an encoder of images and texts: `open()` gives an ImageTextEncoder."""


def require_two_towers(encoder: EngineConfig) -> None:
    """Refuse an encoder that cannot embed texts.

    Raises:
        ValueError: If it embeds images alone.
    """
    if not isinstance(encoder, TwoTowerConfig):
        raise ValueError(
            f"encoder must embed images and texts in one space, got kind {encoder.kind!r}, which "
            "embeds images alone; name open_clip or factory"
        )
