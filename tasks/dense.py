"""Segmentation and detection: a trained run and images with masks or boxes in, metrics out.

Patients keep the split they were given at ingest.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.downstream.boxed_images import BoxedImages, BoxedSplits, FindingBox, boxed
from models.downstream.dense_configs import DetectionConfig, SegmentationConfig
from models.downstream.masked_splits import MaskedSplits
from models.engines import EngineConfig
from models.images import decode_png
from models.vocabulary.findings import Finding
from storage.corpora import read_corpus
from storage.objects import open_store
from storage.readers.rows import CorpusImage
from storage.records import Split
from tasks.downstream import paint_masked_set
from tasks.evaluation import measured_with_draws, trained_model
from tasks.label_splits import held_out_images


@task(name="require-stages", cache_policy=NO_CACHE, persist_result=False)
def require_stages(root: str, run: str) -> None:
    """Refuse a run whose image tower has no stages, before anything is painted for it.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If all maps of its image tower are of one size.
    """
    from models.downstream.stages import Stages  # imports torch

    model = trained_model(root, run)
    Stages(model.image_tower, model.config.image_tower.image_size_px)


def paint_masked_splits(
    name: str, painter: EngineConfig, num_images: tuple[int, int, int], seed: int
) -> MaskedSplits:
    """Phantoms with the masks of their findings, each split drawn with a seed of its own.

    Args:
        name: What results call the set.
        painter: One that knows the masks of what it paints.
        num_images: To train on, to choose by and to measure on.
        seed: Of the first split; the others take the next two.
    """
    train, validation, test = (
        paint_masked_set(name, painter, number, seed + place)
        for place, number in enumerate(num_images)
    )
    return MaskedSplits(train, validation, test)


def frame_phantoms(splits: MaskedSplits) -> BoxedSplits:
    """The same images, a box around each piece of each mask."""
    return BoxedSplits(boxed(splits.train), boxed(splits.validation), boxed(splits.test))


@task(name="read-boxed-splits", cache_policy=NO_CACHE, persist_result=False)
def read_boxed_splits(
    name: str, root: str, run: str, corpus: str, findings: tuple[Finding, ...]
) -> BoxedSplits:
    """A corpus's images and boxes, as large as the run's image tower sees them.

    Images that are labelled with one of the findings, or possibly, and have no box of it are left
    out: the finding is somewhere, and a detector that finds it there would be called wrong.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If there is no such corpus or it has no images.
    """
    opened = read_corpus(open_store(root), corpus)
    size_px = trained_model(root, run).config.image_tower.image_size_px
    return BoxedSplits(
        train=_boxed(name, opened.images(Split.TRAIN), size_px, findings),
        validation=_boxed(name, held_out_images(opened, Split.VALIDATION), size_px, findings),
        test=_boxed(name, held_out_images(opened, Split.TEST), size_px, findings),
    )


@task(name="evaluate-segmentation", cache_policy=NO_CACHE, persist_result=False)
def measure_segmentation(
    root: str, run: str, splits: MaskedSplits, config: SegmentationConfig
) -> dict[str, Any]:
    """Segmentation on a run's image tower, written to the run's `metrics.json`.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If the images lack masks, the device is not there, or the loss is no number.
    """
    from models.downstream.segmentation import evaluate_segmentation  # imports torch

    return measured_with_draws(
        root,
        run,
        "segmentation",
        splits.test.name,
        lambda model: evaluate_segmentation(model, splits, config),
        said={"masks": splits.test.origin.value},
    )


@task(name="evaluate-detection", cache_policy=NO_CACHE, persist_result=False)
def measure_detection(
    root: str, run: str, splits: BoxedSplits, config: DetectionConfig
) -> dict[str, Any]:
    """Detection on a run's image tower, written to the run's `metrics.json`.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If the images lack boxes, the device is not there, or the loss is no number.
    """
    from models.downstream.detection import evaluate_detection  # imports torch

    return measured_with_draws(
        root,
        run,
        "detection",
        splits.test.name,
        lambda model: evaluate_detection(model, splits, config),
    )


def _boxed(
    name: str, images: Iterable[CorpusImage], size_px: int, findings: tuple[Finding, ...]
) -> BoxedImages:
    """Decoded one by one, so that only the small ones are held."""
    from models.downstream.detector import to_square  # imports torch
    from models.vlp.images import fit_square

    squares: list[NDArray[np.uint8]] = []
    boxes: list[list[FindingBox]] = []
    groups: list[str] = []
    for image in images:
        framed = {box.label for box in image.boxes}
        said = {*image.labels, *image.uncertain_labels}
        if any(one.value in said and one.value not in framed for one in findings):
            continue
        pixels_HW = decode_png(image.image)
        corners = [
            (box.x_px, box.y_px, box.x_px + box.width_px, box.y_px + box.height_px)
            for box in image.boxes
        ]
        in_square = to_square(np.array(corners).reshape(-1, 4), size_px, *pixels_HW.shape)
        squares.append(fit_square(pixels_HW, size_px))
        boxes.append(
            [
                FindingBox(Finding(box.label), *corners_4)
                for box, corners_4 in zip(image.boxes, in_square.tolist(), strict=True)
                if box.label in list(Finding)
            ]
        )
        groups.append(image.patient_id)
    return BoxedImages(name, squares, boxes, tuple(groups))
