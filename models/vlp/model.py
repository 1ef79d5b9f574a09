"""The pre-trained model: two towers, the objective's heads, the tokenizer that feeds the text.

Shape suffixes: N inputs, D shared embedding, S image side, L tokens.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.vlp.configs import PretrainingConfig
from models.vlp.gradient_maps import gradient_map
from models.vlp.images import as_input, fit_square
from models.vlp.objectives import (
    GroundingObjective,
    ImageFeatures,
    ObjectiveLoss,
    PretrainingObjective,
    TextFeatures,
    TowerWidths,
)
from models.vlp.text_tokenizers import TextTokenizer
from models.vlp.tokenizer import words
from models.vlp.towers import build_image_tower, build_text_tower, image_channels


class VisionLanguageModel(nn.Module):
    """Embeds radiographs and sentences in one space.

    Random weights come from torch's global generator: seed it before building.
    """

    objective: PretrainingObjective

    def __init__(
        self, config: PretrainingConfig, tokenizer: TextTokenizer, text_architecture: str = ""
    ) -> None:
        """Build towers and heads.

        Args:
            config: What to build.
            tokenizer: Of the text tower.
            text_architecture: Of a Hugging Face text tower whose weights a checkpoint brings;
                empty: they come from the folder that the config names.
        """
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        tower = build_image_tower(config.image_tower)
        self.image_tower = tower.to(memory_format=torch.channels_last)  # a third faster on CPUs
        self.text_tower = build_text_tower(config.text_tower, tokenizer, text_architecture)
        pooled, local, regions = image_channels(self.image_tower, config.image_tower.image_size_px)
        text = self.text_tower.width
        self.objective = config.objective.build(TowerWidths(pooled, local, text, text, regions))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.text_tower.starts_V.device

    def loss(
        self,
        images_B1SS: Tensor,
        token_ids_VBL: Sequence[Tensor],
        progress: float,
        precision: torch.dtype = torch.float32,
    ) -> ObjectiveLoss:
        """The objective's loss, averaged over independent text draws for the same images.

        Args:
            images_B1SS: Image views in -1..1, (B, 1, S, S).
            token_ids_VBL: One or more draws of text views, each (B, L).
            progress: Epochs done so far.
            precision: Of the towers; the objective always computes in float32.
        """
        return self.compare(*self.features(images_B1SS, token_ids_VBL, precision), progress)

    def features(
        self, images_B1SS: Tensor, token_ids_VBL: Sequence[Tensor], precision: torch.dtype
    ) -> tuple[ImageFeatures, list[TextFeatures]]:
        """What the towers make of a batch, and of each text draw for it."""
        mixed = precision is not torch.float32
        with torch.autocast(images_B1SS.device.type, precision, enabled=mixed):
            images = self.image_tower(images_B1SS)
            texts = [self.text_tower(ids_BL) for ids_BL in token_ids_VBL]
        return images.in_float32(), [text.in_float32() for text in texts]

    def compare(
        self, images: ImageFeatures, texts: Sequence[TextFeatures], progress: float
    ) -> ObjectiveLoss:
        """The objective's loss of features, averaged over text draws."""
        losses = [self.objective.loss(images, text, progress) for text in texts]
        total = torch.stack([loss.total for loss in losses]).mean()
        terms = {
            name: torch.stack([loss.terms[name] for loss in losses]).mean()
            for name in losses[0].terms
        }
        return ObjectiveLoss(total, terms)

    def encode_images(
        self, images: Sequence[NDArray[np.uint8]], batch_size: int = 64
    ) -> NDArray[np.float32]:
        """Unit-norm embeddings of grey images of any size, (N, D), in order.

        Args:
            images: Each uint8 (height, width); made square and resized as in training.
            batch_size: Images on the device at once.
        """
        rows: list[Tensor] = []
        with evaluating(self):
            for start in range(0, len(images), batch_size):
                features = self._see(images[start : start + batch_size])
                rows.append(self.objective.embed_images(features).cpu())
        return torch.cat(rows).numpy() if rows else self._no_rows()

    def pooled_features(
        self, images: Sequence[NDArray[np.uint8]], batch_size: int = 64
    ) -> NDArray[np.float32]:
        """The image tower's own vectors, before the objective's heads, (N, C), in order.

        Args:
            images: Each uint8 (height, width); made square and resized as in training.
            batch_size: Images on the device at once.
        """
        rows: list[Tensor] = []
        with evaluating(self):
            for start in range(0, len(images), batch_size):
                rows.append(self._see(images[start : start + batch_size]).pooled_BC.cpu())
        return torch.cat(rows).numpy() if rows else self._no_rows()

    def encode_texts(self, texts: Sequence[str], batch_size: int = 256) -> NDArray[np.float32]:
        """Unit-norm embeddings of texts, (N, D), in order."""
        rows: list[Tensor] = []
        with evaluating(self):
            for start in range(0, len(texts), batch_size):
                features = self._read(texts[start : start + batch_size])
                rows.append(self.objective.embed_texts(features).cpu())
        return torch.cat(rows).numpy() if rows else self._no_rows()

    def similarity_map(self, image: NDArray[np.uint8], text: str) -> NDArray[np.float32]:
        """How well each region of an image fits a text, cosines in -1..1, top row first.

        Args:
            image: Grey, (height, width); made square as in training (`images.fit_square`), and
                the map is of that square.
            text: A prompt of a word or more.

        Returns:
            (H, W), the sides of the image tower's map.

        Raises:
            ValueError: If the objective compares no regions.
        """
        if not isinstance(self.objective, GroundingObjective):
            raise ValueError(
                "maps of words need a model trained with words and regions (gloria, mgca), got "
                f"{self.config.objective.kind}; pre-train one of those, or ask for maps: gradient"
            )
        with evaluating(self):
            maps_1HW = self.objective.similarity_maps(self._see([image]), self._read([text]))
        return maps_1HW[0].cpu().numpy()

    def gradient_map(self, image: NDArray[np.uint8], text: str) -> NDArray[np.float32]:
        """How much each region of an image brings it nearer to a text; see `gradient_maps`.

        Args:
            image: As for `similarity_map`.
            text: A prompt of a word or more.

        Returns:
            (H, W), the sides of the image tower's map; any sign and scale.

        Raises:
            ValueError: If the image tower's pooled vector does not derive from its map.
        """
        (text_D,) = torch.from_numpy(self.encode_texts([text]))
        with evaluation_mode(self):
            map_HW = gradient_map(
                self.image_tower, self.objective, self._input([image]), text_D.to(self.device)
            )
        return map_HW.cpu().numpy()

    def knows(self, text: str) -> bool:
        """True if the tokenizer holds every word of a text, so that training text did."""
        return all(self.tokenizer.knows(word) for word in words(text))

    def _see(self, images: Sequence[NDArray[np.uint8]]) -> ImageFeatures:
        seen: ImageFeatures = self.image_tower(self._input(images))
        return seen

    def _input(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        size = self.config.image_tower.image_size_px
        pixels_BSS = np.stack([fit_square(image, size) for image in images])
        return as_input(torch.from_numpy(pixels_BSS[:, None]).to(self.device))

    def _read(self, texts: Sequence[str]) -> TextFeatures:
        ids_BL = self.tokenizer.encode_batch(texts, self.config.text_tower.max_tokens)
        read: TextFeatures = self.text_tower(torch.from_numpy(ids_BL).to(self.device))
        return read

    def _no_rows(self) -> NDArray[np.float32]:
        return np.empty((0, 0), np.float32)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode and without gradients; its mode is put back."""
    with evaluation_mode(model), torch.inference_mode():
        yield


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """In evaluation mode; its mode is put back."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
