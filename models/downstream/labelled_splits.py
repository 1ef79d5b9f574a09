"""Labelled images in three splits, and nested draws of the patients to train on.

Shape suffixes: N images, F findings.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.downstream.finding_scores import one_class
from models.downstream.labelled_images import LabelledImages

LEAST_PATIENTS = 2  # of a draw, however small its share


@dataclass(frozen=True)
class LabelledSplits:
    """What a classifier is trained, chosen and measured on; no patient is in two of them."""

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages

    def __post_init__(self) -> None:
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
            first, second = getattr(self, one), getattr(self, other)
            shared = set(first.groups) & set(second.groups)
            if shared:
                raise ValueError(
                    f"{one} and {other} of {self.name!r} must share no patient, share "
                    f"{len(shared)}; split them by patient"
                )
            if first.findings != second.findings:
                raise ValueError(
                    f"{one} and {other} of {self.name!r} must have the same findings, got "
                    f"{len(first.findings)} and {len(second.findings)}; label both alike"
                )
        for split in ("train", "validation", "test"):
            self._require_both_classes(split)

    @property
    def name(self) -> str:
        """What results call the set."""
        return self.test.name

    def _require_both_classes(self, split: str) -> None:
        labelled: LabelledImages = getattr(self, split)
        if all(one_class(labels_N) for labels_N in labelled.labels_NF.T):
            known = ", ".join(finding.value for finding in labelled.findings)
            raise ValueError(
                f"{split} of {self.name!r} must have a finding both present and absent, got one "
                f"class only in {len(labelled.images)} images; name a corpus with more patients, "
                f"or with labels of the list ({known})"
            )


def draw_order(labelled: LabelledImages, seed: int) -> list[str]:
    """All patients in an order whose every beginning has each finding as often as the whole.

    So draws are nested: the patients of a small share are among those of a larger one. At each
    place stands a patient with the finding that is furthest below its share so far, "no finding"
    counting as one more.

    Args:
        labelled: To draw from.
        seed: Of the shuffle.
    """
    patients, strata_PF = _strata(labelled)
    shuffled = np.random.default_rng([seed, *b"label draws"]).permutation(len(patients)).tolist()
    waiting = [deque(p for p in shuffled if strata_PF[p, f]) for f in range(strata_PF.shape[1])]
    share_F = strata_PF.mean(axis=0)
    order: list[int] = []
    taken, counts_F = set[int](), np.zeros(strata_PF.shape[1])
    for place in range(1, len(patients) + 1):
        lacking_F = share_F * place - counts_F
        for column in np.argsort(-lacking_F, kind="stable"):
            while waiting[column] and waiting[column][0] in taken:
                waiting[column].popleft()
            if waiting[column]:
                break
        patient = waiting[column].popleft()
        taken.add(patient)
        order.append(patient)
        counts_F += strata_PF[patient]
    return [patients[number] for number in order]


def drawn_rows(labelled: LabelledImages, order: list[str], share: float) -> NDArray[np.int64]:
    """Images of the first patients of an order, ascending; at least `LEAST_PATIENTS` patients.

    Args:
        labelled: The set that the order is of.
        order: Of `draw_order`.
        share: Of the patients, 0 to 1.
    """
    chosen = set(order[: max(LEAST_PATIENTS, math.ceil(share * len(order)))])
    return np.flatnonzero([group in chosen for group in labelled.groups])


def _strata(labelled: LabelledImages) -> tuple[list[str], NDArray[np.bool_]]:
    """Patients in order of first image, and the findings each has; the last column: none."""
    patients = list(dict.fromkeys(labelled.groups))
    number = {patient: k for k, patient in enumerate(patients)}
    found_PF = np.zeros((len(patients), len(labelled.findings) + 1), bool)
    for group, labels_F in zip(labelled.groups, labelled.labels_NF, strict=True):
        found_PF[number[group], :-1] |= labels_F == 1
    found_PF[:, -1] = ~found_PF[:, :-1].any(axis=1)
    return patients, found_PF
