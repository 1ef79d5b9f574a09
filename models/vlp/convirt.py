"""ConVIRT (Zhang et al. 2020): two projection heads and a bidirectional InfoNCE."""

from torch import Tensor, nn
from torch.nn import functional

from models.vlp.heads import projection_head
from models.vlp.losses import contrastive_loss, equal_rows
from models.vlp.objectives import (
    ConvirtConfig,
    ImageFeatures,
    ObjectiveLoss,
    TextFeatures,
    TowerWidths,
)


class Convirt(nn.Module):
    """Compares pooled features only; the local ones are for other objectives.

    Deviation from the paper, unless `duplicate_text` is "negatives": equal sentences in a batch
    ("no pneumothorax" stands in many reports) are not counted against each other.
    """

    def __init__(self, config: ConvirtConfig, widths: TowerWidths) -> None:
        super().__init__()
        self.config = config
        self.image_head = projection_head(widths.image_pooled, config.embedding_size)
        self.text_head = projection_head(widths.text_pooled, config.embedding_size)

    def embed_images(self, features: ImageFeatures) -> Tensor:
        """Unit-norm image embeddings, (B, D)."""
        return functional.normalize(self.image_head(features.pooled_BC), dim=-1)

    def embed_texts(self, features: TextFeatures) -> Tensor:
        """Unit-norm text embeddings, (B, D)."""
        return functional.normalize(self.text_head(features.pooled_BC), dim=-1)

    def loss(self, images: ImageFeatures, texts: TextFeatures, progress: float) -> ObjectiveLoss:
        """Eq. 3 of the paper over the batch; the same at every progress."""
        del progress
        masked = self.config.duplicate_text == "masked"
        total, image_to_text, text_to_image = contrastive_loss(
            self.embed_images(images),
            self.embed_texts(texts),
            self.config.temperature,
            self.config.image_to_text_weight,
            equal_rows(texts.token_ids_BL) if masked else None,
        )
        terms = {"image_to_text": image_to_text.detach(), "text_to_image": text_to_image.detach()}
        return ObjectiveLoss(total, terms)

    def constrain(self) -> None:
        """Its weights are free."""
