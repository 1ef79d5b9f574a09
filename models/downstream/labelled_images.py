"""Images whose truth is known: what an evaluation is made on.

Shape suffixes: N images, F findings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.vocabulary.findings import Finding
from models.vocabulary.label_lists import Label


@dataclass(frozen=True)
class LabelledImages:
    """A named evaluation set.

    Attributes:
        name: What results call it ("held-out phantoms").
        images: Grey images, each uint8 (height, width), of any sizes.
        labels_NF: 1 present, 0 absent, -1 unknown; columns as `findings`.
        groups: Patient of each image; the bootstrap draws patients.
        views: Projection of each image ("PA"); empty when not known.
        findings: Columns of the labels.
    """

    name: str
    images: Sequence[NDArray[np.uint8]]
    labels_NF: NDArray[np.int8]
    groups: tuple[str, ...]
    views: tuple[str, ...] = ()
    findings: tuple[Label, ...] = tuple(Finding)

    def __post_init__(self) -> None:
        expected = (len(self.images), len(self.findings))
        if self.labels_NF.shape != expected:
            raise ValueError(
                f"labels of {self.name!r} must be (images, findings) = {expected}, "
                f"got {self.labels_NF.shape}; give one row an image, one column a finding"
            )
        if len(self.groups) != len(self.images) or len(self.views) not in (0, len(self.images)):
            raise ValueError(
                f"{self.name!r} must have a group and, if any, a view for each of "
                f"{len(self.images)} images, got {len(self.groups)} and {len(self.views)}"
            )
        strange = set(np.unique(self.labels_NF).tolist()) - {-1, 0, 1}
        if strange:
            raise ValueError(
                f"labels of {self.name!r} must be 1 present, 0 absent or -1 unknown, "
                f"got {sorted(strange)!r}"
            )
