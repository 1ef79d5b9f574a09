"""Both towers of an open_clip model as an encoder of images and texts."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from models.devices import best_device
from models.encoders.batches import embed_images, embed_texts
from models.encoders.configs import OpenClipConfig
from models.encoders.files import OpenClipModel, open_clip_model
from models.encoders.seam import Matrix, Pixels
from models.engines import EngineInfo
from models.hub_models import hub_out_of_reach
from storage.errors import EngineUnavailable


class OpenClipEncoder:
    """An ImageTextEncoder; open_clip's own transform resizes, crops and normalises."""

    def __init__(self, config: OpenClipConfig) -> None:
        found = open_clip_model(config.model, config.checkpoint, config.hub_revision)
        self.info = EngineInfo(config.kind, found.revision, deterministic=False)
        self._device = best_device()
        model, self._transform, self._tokenizer = _load(found)
        self._model = model.to(self._device).eval()

    def embed(self, images: Sequence[Pixels]) -> Matrix:
        """Unit-norm embeddings of images, (N, D)."""
        return embed_images(images, self._encode_images)

    def embed_texts(self, texts: Sequence[str]) -> Matrix:
        """Unit-norm embeddings of texts, (N, D)."""
        return embed_texts(texts, self._encode_texts)

    def _encode_images(self, images: list[Image.Image]) -> Tensor:
        inputs = torch.stack([self._transform(image) for image in images]).to(self._device)
        features: Tensor = self._model.encode_image(inputs, normalize=True)
        return features

    def _encode_texts(self, texts: list[str]) -> Tensor:
        features: Tensor = self._model.encode_text(
            self._tokenizer(texts).to(self._device), normalize=True
        )
        return features


def _load(found: OpenClipModel) -> tuple[Any, Any, Any]:
    """Model, image transform and tokenizer; a text tower named inside it comes from the cache."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    if found.weights is not None and found.name not in open_clip.list_models():
        near = ", ".join(open_clip.list_models()[:5])
        raise EngineUnavailable(
            f"open_clip encoder: with a checkpoint, model must be an architecture of open_clip, "
            f"got {found.name!r}; try {near}"
        )
    try:
        with hub_out_of_reach():
            model = open_clip.create_model(
                found.name, pretrained=found.weights, require_pretrained=True, weights_only=True
            )
            tokenizer = open_clip.get_tokenizer(found.name)
    except Exception as error:
        raise EngineUnavailable(
            f"{found.name} must be a whole open_clip model whose weights fit it, got: "
            f"{' '.join(str(error).split())[:300]}; copy it again, with the text model it names"
        ) from error
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    return model, transform, tokenizer
