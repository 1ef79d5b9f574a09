"""Images with masks in three splits: what a segmentation is trained and measured on.

Shape suffixes: N images, F findings, H and W an image's sides in px.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.downstream.labelled_images import LabelledImages
from models.downstream.labelled_splits import LabelledSplits
from models.downstream.masked_images import MaskedImages
from models.vocabulary.findings import Finding


@dataclass(frozen=True)
class MaskedSplits:
    """What a segmentation is trained, chosen and measured on; no patient is in two of them."""

    train: MaskedImages
    validation: MaskedImages
    test: MaskedImages

    def labelled(self, findings: tuple[Finding, ...]) -> LabelledSplits:
        """Which image shows which finding.

        Raises:
            ValueError: If two splits share a patient, or one lacks images with or without.
        """
        return LabelledSplits(
            *(_labelled(masked, findings) for masked in (self.train, self.validation, self.test))
        )


def own_masks(masked: MaskedImages, finding: Finding) -> list[NDArray[np.bool_]]:
    """A finding's mask in every image, of the image's size, empty where it is absent."""
    return [
        masks[finding] if finding in masks else np.zeros(image_HW.shape, bool)
        for image_HW, masks in zip(masked.images, masked.masks, strict=True)
    ]


def _labelled(masked: MaskedImages, findings: tuple[Finding, ...]) -> LabelledImages:
    shown = [{one for one, mask_HW in masks.items() if mask_HW.any()} for masks in masked.masks]
    return labelled_as_shown(masked.name, masked.images, shown, masked.groups, findings)


def labelled_as_shown(
    name: str,
    images: Sequence[NDArray[np.uint8]],
    shown: Sequence[Collection[Finding]],
    groups: tuple[str, ...],
    findings: tuple[Finding, ...],
) -> LabelledImages:
    """Images of which all that they show is known: what is not shown is absent.

    Args:
        name: What results call the set.
        images: Grey images of any sizes.
        shown: Findings of each image.
        groups: Patient of each image.
        findings: Columns of the labels.
    """
    labels = [[finding in of_image for finding in findings] for of_image in shown]
    labels_NF = np.array(labels, np.int8).reshape(len(images), len(findings))
    return LabelledImages(name, images, labels_NF, groups, findings=findings)
