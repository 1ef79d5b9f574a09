"""Thresholds of gates without a bank: chosen on one half of the patients, tried on the other.

Shape suffixes: N images, D features.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encoders.seam import Matrix
from models.gates.examples import in_first_half

MIN_HALF = 10  # images of either half, below which a quantile says nothing


@dataclass(frozen=True, slots=True)
class AgreementFigures:
    """What a least cosine does to pairs of patients it was not chosen on.

    Attributes:
        min_cosine: The threshold.
        acceptance: Share of images accepted with their own text.
        mismatched_rejected: Share rejected with another patient's text.
        num_pairs: Pairs these shares are of.
    """

    min_cosine: float
    acceptance: float
    mismatched_rejected: float
    num_pairs: int


@dataclass(frozen=True, slots=True)
class DistanceFigures:
    """What two distances do to real images of patients who are not in the table.

    Attributes:
        min_distance: Nearer counts as memorised.
        max_distance: Farther counts as unlike real.
        acceptance: Share of other patients' images between the two.
        copies_rejected: Share of disturbed copies of images in the table that are nearer.
        spoiled_rejected: Share of spoiled images that are farther.
        num_images: Other patients' images that acceptance is of.
    """

    min_distance: float
    max_distance: float
    acceptance: float
    copies_rejected: float
    spoiled_rejected: float
    num_images: int


def calibrate_agreement(
    images_ND: Matrix, texts_ND: Matrix, patients: Sequence[str], acceptance: float, seed: int
) -> AgreementFigures:
    """The least cosine that accepts so many matched pairs of one half of the patients.

    Args:
        images_ND: Unit-norm embeddings of images.
        texts_ND: Of their texts, row by row.
        patients: Whose each pair is.
        acceptance: Share of matched pairs to accept.
        seed: Of the halves.

    Raises:
        ValueError: If a half is too small.
    """
    first = _halved(patients, seed)
    matched_N = (images_ND * texts_ND).sum(axis=1)
    threshold = float(np.quantile(matched_N[first], 1 - acceptance))
    held = np.flatnonzero(~first)
    others = _other_patients(held, patients)
    mismatched = (images_ND[held] * texts_ND[others]).sum(axis=1)
    return AgreementFigures(
        min_cosine=threshold,
        acceptance=float((matched_N[held] >= threshold).mean()),
        mismatched_rejected=float((mismatched < threshold).mean()),
        num_pairs=len(held),
    )


def calibrate_distances(
    distances: NDArray[np.float32],
    patients: Sequence[str],
    copies: NDArray[np.float32],
    spoiled: NDArray[np.float32],
    acceptance: float,
    seed: int,
) -> DistanceFigures:
    """Two distances that so many real images of one half of the patients lie between.

    Args:
        distances: To the nearest training image, of images of patients not in the table, (N,).
        patients: Whose each is.
        copies: The same distance, of disturbed copies of images in the table.
        spoiled: The same, of spoiled images.
        acceptance: Share of real images to accept.
        seed: Of the halves.

    Raises:
        ValueError: If a half is too small.
    """
    first = _halved(patients, seed)
    tail = (1 - acceptance) / 2
    least, most = (float(q) for q in np.quantile(distances[first], (tail, 1 - tail)))
    held = distances[~first]
    return DistanceFigures(
        min_distance=least,
        max_distance=most,
        acceptance=float(((held >= least) & (held <= most)).mean()),
        copies_rejected=float((copies < least).mean()),
        spoiled_rejected=float((spoiled > most).mean()),
        num_images=len(held),
    )


def _halved(patients: Sequence[str], seed: int) -> NDArray[np.bool_]:
    first = np.array([in_first_half(patient, seed) for patient in patients], dtype=bool)
    if min(first.sum(), (~first).sum()) < MIN_HALF:
        raise ValueError(
            f"expected at least {MIN_HALF} images of either half of the patients to calibrate on, "
            f"got {first.sum()} and {(~first).sum()}; add images, or raise max_images"
        )
    return first


def _other_patients(held: NDArray[np.int64], patients: Sequence[str]) -> list[int]:
    """For each place, the next in a fixed shuffled order that is another patient's."""
    order = sorted(held.tolist(), key=lambda at: hashlib.sha256(f"{at}".encode()).digest())
    place = {at: position for position, at in enumerate(order)}
    return [_next_other(order, place[at], patients) for at in held.tolist()]


def _next_other(order: list[int], start: int, patients: Sequence[str]) -> int:
    own = patients[order[start]]
    turned = order[start:] + order[:start]
    return next(at for at in turned if patients[at] != own)
