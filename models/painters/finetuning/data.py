"""The real images a painter learns from: training patients only, decoded once.

Shape suffixes: N images, S image side.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.images import decode_png
from models.painters.finetuning.captions import Subject
from models.vlp.images import fit_square
from storage.errors import DamagedObject
from storage.records import Split


@dataclass(frozen=True, slots=True)
class Radiograph:
    """One real image of a corpus with what is known of it.

    Attributes:
        image_id: Unique in its corpus.
        patient_id: Whose image it is.
        split: Of the patient, fixed at ingest.
        image: The file's bytes.
        subject: What captions may say.
    """

    image_id: str
    patient_id: str
    split: Split
    image: bytes
    subject: Subject


@dataclass(frozen=True)
class TrainingSet:
    """Images at training size, and what is known of each.

    Attributes:
        images_N1SS: Grey levels, uint8 (N, 1, S, S).
        subjects: Of each image.
        patient_ids: Of each image.
        sha256: Over ids, files and subjects: names the content.
    """

    images_N1SS: Tensor
    subjects: tuple[Subject, ...]
    patient_ids: tuple[str, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.subjects)


def read_training_set(
    radiographs: Iterable[Radiograph], size_px: int, memory_limit_mib: int
) -> TrainingSet:
    """Decode every image to the size trained at; longest side fitted, the rest padded with black.

    Args:
        radiographs: Images of training patients, in a fixed order.
        size_px: Side of the square, S.
        memory_limit_mib: Largest size of all images together at one byte a pixel.

    Raises:
        ValueError: If an image is not of a training patient, none came, or they exceed the limit.
        DamagedObject: If an image does not decode.
    """
    images: list[NDArray[np.uint8]] = []
    subjects: list[Subject] = []
    patients: list[str] = []
    content = hashlib.sha256()
    for radiograph in radiographs:
        _require_training_patient(radiograph)
        _require_memory(len(images) + 1, size_px, memory_limit_mib)
        images.append(_decoded(radiograph, size_px))
        subjects.append(radiograph.subject)
        patients.append(radiograph.patient_id)
        content.update(repr((radiograph.image_id, radiograph.subject)).encode())
        content.update(hashlib.sha256(radiograph.image).digest())
    if not images:
        raise ValueError(
            "training needs images of training patients, got none; ingest a larger corpus"
        )
    stacked = torch.from_numpy(np.stack(images)[:, None])
    return TrainingSet(stacked, tuple(subjects), tuple(patients), content.hexdigest())


def _require_training_patient(radiograph: Radiograph) -> None:
    if radiograph.split is not Split.TRAIN:
        raise ValueError(
            f"a painter may learn from {Split.TRAIN} patients only, got image "
            f"{radiograph.image_id!r} of split {radiograph.split}; read the training split"
        )


def _require_memory(num_images: int, size_px: int, limit_mib: int) -> None:
    if num_images * size_px**2 > limit_mib * 2**20:
        raise ValueError(
            f"training images must fit memory_limit_mib {limit_mib}, got more than "
            f"{num_images - 1} of {size_px} px; raise the limit or lower image_size_px"
        )


def _decoded(radiograph: Radiograph, size_px: int) -> NDArray[np.uint8]:
    try:
        return fit_square(decode_png(radiograph.image), size_px)
    except ValueError as error:
        raise DamagedObject(
            f"image {radiograph.image_id!r}: {error}; ingest the corpus again"
        ) from error
