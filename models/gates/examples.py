"""Labelled images to calibrate a gate on: whose each is, and what is wrong with it.

Patients are halved: what a gate learns from and what it is measured on share none.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.gates.spoiling import PHOTOGRAPHS, SPOILINGS, spoil


@dataclass(frozen=True, eq=False, slots=True)
class ImageExample:
    """One labelled image.

    Attributes:
        patient_id: Whose; of a spoiled image that of the image it was made of.
        kind: What is wrong with it ("inverted"); empty for a good one.
        pixels_HW: Grey levels.
    """

    patient_id: str
    kind: str
    pixels_HW: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Halves:
    """The examples a gate is calibrated on, and those it is measured on."""

    calibration: tuple[ImageExample, ...]
    held_out: tuple[ImageExample, ...]


def spoiled_examples(
    good: Sequence[ImageExample], num_per_kind: int, seed: int
) -> list[ImageExample]:
    """So many spoiled images of each kind, half of them of either half of the patients.

    Raises:
        ValueError: If there are fewer than two patients to make them of.
    """
    random = np.random.default_rng([seed, 1])
    sides = halves(good, seed)
    if not sides.calibration or not sides.held_out:
        raise ValueError(
            f"expected good images of at least 2 patients, got {len(good)} of fewer; add some"
        )
    bad: list[ImageExample] = []
    for kind in SPOILINGS:
        for index in range(num_per_kind):
            side = (sides.calibration, sides.held_out)[index % 2]
            source = side[int(random.integers(len(side)))]
            spoiled = spoil(source.pixels_HW, kind, random, PHOTOGRAPHS[index % 2])
            bad.append(ImageExample(source.patient_id, kind, spoiled))
    return bad


def disturbed(pixels_HW: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """A copy as from memory: other brightness, noise, a shift of at most one pixel."""
    gain, lift = random.uniform(0.93, 1.07), random.uniform(-8, 8)
    shifted = np.roll(pixels_HW, int(random.integers(-1, 2)), axis=1).astype(np.float32)
    noisy = gain * shifted + lift + random.normal(0, 3, pixels_HW.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def halves(examples: Sequence[ImageExample], seed: int) -> Halves:
    """Examples by half of the patients; a patient is on the same side whoever else is there."""
    first = [in_first_half(example.patient_id, seed) for example in examples]
    sides = [
        tuple(one for one, its in zip(examples, first, strict=True) if its is side)
        for side in (True, False)
    ]
    return Halves(*sides)


def in_first_half(patient_id: str, seed: int) -> bool:
    """Whether a patient is of the half that is calibrated on."""
    digest = hashlib.sha256(f"{seed}:{patient_id}".encode()).digest()
    return digest[0] % 2 == 0
