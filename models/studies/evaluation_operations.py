"""Operations of what trained models are measured by: an image seen, and training on labels.

Shape suffixes: B batch, S image side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from models.downstream.dense_configs import DetectionConfig, SegmentationConfig
from models.downstream.detector import build_detector
from models.downstream.few_labels import FineTuningConfig
from models.downstream.fine_tuning import Classifier
from models.downstream.segmentation import SegmentationNet
from models.downstream.stages import stages_of
from models.studies.operations import forward_operations, step_operations, without_values
from models.studies.training_operations import image_tower
from models.vlp.configs import ImageTowerConfig
from models.vlp.objectives import GroundingObjective, ObjectiveConfig, TowerWidths
from models.vlp.towers import image_channels

_ANY_WIDTHS = TowerWidths(8, 8, 8, 8, num_regions=4)

LabelTraining = FineTuningConfig | SegmentationConfig | DetectionConfig


@dataclass(frozen=True, slots=True)
class LabelOperations:
    """FLOP of a network that is trained on labels.

    Attributes:
        step: One optimiser step, a whole batch forward and back.
        image: One image that it looks at.
    """

    step: int
    image: int


@cache
def seeing_operations(config: ImageTowerConfig) -> int:
    """FLOP of one image through the image tower.

    Raises:
        ValueError: If the tower is unknown or cannot be built at this size.
    """
    with without_values():
        tower = image_tower(config).eval()
        image_11SS = torch.empty(1, 1, config.image_size_px, config.image_size_px)
        return forward_operations(lambda: tower(image_11SS))


def require_maps(config: ObjectiveConfig) -> None:
    """Refuse an objective whose models say nothing of where, so that they are not asked.

    Raises:
        ValueError: If it compares no regions.
    """
    if not isinstance(config.build(_ANY_WIDTHS), GroundingObjective):
        raise ValueError(f"{config.kind} compares no regions, its cells leave it out")


@cache
def label_operations(
    config: ImageTowerConfig, settings: LabelTraining, num_labels: int
) -> LabelOperations:
    """FLOP of a task's network on this image tower.

    Args:
        config: Of the tower.
        settings: The task's.
        num_labels: Findings that it is trained to tell or to find.

    Raises:
        ValueError: If the tower is unknown, or has no stages to build on.
    """
    size = config.image_size_px
    with without_values():
        network, forward = _network(config, settings, num_labels)
        network.train()
        step = step_operations(lambda: forward(torch.empty(settings.batch_size, 1, size, size)))
        network.eval()
        image = forward_operations(lambda: forward(torch.empty(1, 1, size, size)))
    return LabelOperations(step, image)


def _network(
    config: ImageTowerConfig, settings: LabelTraining, num_labels: int
) -> tuple[torch.nn.Module, Callable[[Tensor], Sequence[Tensor]]]:
    """The network, and what it makes of images; of a detector without the choice of its boxes."""
    size, tower = config.image_size_px, image_tower(config)
    if isinstance(settings, FineTuningConfig):
        classifier = Classifier(tower, image_channels(tower, size)[0], num_labels)
        return classifier, lambda images_B1SS: [classifier(images_B1SS)]
    stages = stages_of(tower, size, settings.encoder)
    if isinstance(settings, SegmentationConfig):
        net = SegmentationNet(stages, num_labels, settings.decoder_width)
        return net, lambda images_B1SS: [net(images_B1SS)]
    detector = build_detector(stages, size, settings.pyramid_width, num_labels)

    def scored(images_B1SS: Tensor) -> list[Tensor]:
        maps = list(detector.backbone(images_B1SS).values())
        return list(detector.head(maps).values())

    return detector, scored
