"""A vision model of transformers as an image encoder."""

from collections.abc import Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from models.devices import best_device
from models.encoders.batches import embed_images
from models.encoders.configs import TransformersConfig
from models.encoders.seam import Matrix, Pixels
from models.engines import EngineInfo
from storage.errors import EngineUnavailable

_POOLER = "pooler."  # a head some checkpoints are published without


class TransformersEncoder:
    """An ImageEncoder; its own image processor resizes, crops and normalises."""

    def __init__(self, config: TransformersConfig) -> None:
        self.info = EngineInfo(config.kind, config.revision(), deterministic=False)
        self._device = best_device()
        model, self._processor, self._has_pooler = _load(config)
        self._model = model.to(self._device).eval()

    def embed(self, images: Sequence[Pixels]) -> Matrix:
        """The pooled output, or the class token of a model without trained pooling, (N, D)."""
        return embed_images(images, self._encode)

    def _encode(self, images: list[Image.Image]) -> Tensor:
        inputs = self._processor(images=images, return_tensors="pt").to(self._device)
        output = self._model(pixel_values=inputs["pixel_values"])
        pooled = getattr(output, "pooler_output", None) if self._has_pooler else None
        chosen = output.last_hidden_state[:, 0] if pooled is None else pooled
        assert isinstance(chosen, Tensor)
        return chosen.flatten(1)


def _load(config: TransformersConfig) -> tuple[Any, Any, bool]:
    """Model, image processor, and whether the pooling head has trained weights."""
    from transformers import AutoImageProcessor, AutoModel

    folder = config.folder()
    try:
        processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            folder, local_files_only=True, trust_remote_code=False
        )
        model, report = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    except Exception as error:
        raise EngineUnavailable(
            f"{config.model} must be a model of transformers, got: {' '.join(str(error).split())}; "
            "name another checkpoint"
        ) from error
    if model.main_input_name != "pixel_values":
        raise EngineUnavailable(
            f"{config.model} must be a model of images alone, got {type(model).__name__}, which "
            f"takes {model.main_input_name}; name a vision checkpoint"
        )
    missing = sorted(report["missing_keys"])
    if untrained := [name for name in missing if not name.startswith(_POOLER)]:
        raise EngineUnavailable(
            f"{config.model} must hold every weight of {type(model).__name__}, got none for "
            f"{untrained[0]} and {len(untrained) - 1} more; copy it whole"
        )
    return model, processor, not missing
