"""Both towers of a model that this project pre-trained, as an encoder of images and texts."""

from collections.abc import Sequence

from models.devices import best_device
from models.encoders.configs import FactoryConfig
from models.encoders.seam import Matrix, Pixels
from models.engines import EngineInfo
from models.images import to_uint8
from models.places import local_path
from models.vlp.checkpoint import load_model


class FactoryEncoder:
    """An ImageTextEncoder; images are fitted to the tower as in its training."""

    def __init__(self, config: FactoryConfig) -> None:
        self.info = EngineInfo(config.kind, config.revision(), deterministic=False)
        path = local_path(config.checkpoint)
        self._model = load_model(path, str(best_device()))

    def embed(self, images: Sequence[Pixels]) -> Matrix:
        """Unit-norm embeddings of images, (N, D)."""
        return self._model.encode_images([to_uint8(image) for image in images])

    def embed_texts(self, texts: Sequence[str]) -> Matrix:
        """Unit-norm embeddings of texts, (N, D)."""
        return self._model.encode_texts(texts)
