"""What a model gave each image of a set: what models are compared by, image by image.

Shape suffixes: N images, F findings.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.downstream.labelled_images import LabelledImages
from models.vocabulary.label_lists import Label


@dataclass(frozen=True, slots=True)
class ScoredImages:
    """The scores behind one figure of a task.

    Attributes:
        at: Which of the task's figures, where it has several ("10% of labels"); else empty.
        findings: Columns of labels and scores.
        labels_NF: 1 present, 0 absent, -1 unknown.
        scores_NF: Higher means more likely present; a column of NaN where there are none.
        patients: Of each image.
        views: Projection of each image ("PA"); empty where not known.
    """

    at: str
    findings: tuple[Label, ...]
    labels_NF: NDArray[np.int8]
    scores_NF: NDArray[np.float64]
    patients: tuple[str, ...]
    views: tuple[str, ...]


def scored_images(
    labelled: LabelledImages, scores_NF: NDArray[np.floating], at: str = ""
) -> ScoredImages:
    """The scores of a labelled set.

    Args:
        labelled: What was scored.
        scores_NF: Of its images and findings.
        at: See `ScoredImages`.
    """
    return ScoredImages(
        at=at,
        findings=labelled.findings,
        labels_NF=labelled.labels_NF,
        scores_NF=scores_NF.astype(np.float64),
        patients=labelled.groups,
        views=labelled.views,
    )
