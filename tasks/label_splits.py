"""Labelled images in three splits for probes and fine-tuning, at the size the model sees.

Patients keep the split they were given at ingest: classifiers are trained on those of training,
chosen by those of validation and measured on those of test.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.downstream.labelled_images import LabelledImages
from models.downstream.labelled_splits import LabelledSplits
from models.engines import EngineConfig
from models.images import decode_png
from models.vocabulary.label_lists import Label, LabelList, labels_of
from storage.corpora import Corpus, read_corpus
from storage.objects import open_store
from storage.readers.rows import CorpusImage
from storage.records import Split
from tasks.evaluation import label_of, paint_phantom_set, trained_model


@task(name="read-label-splits", cache_policy=NO_CACHE, persist_result=False)
def read_label_splits(
    name: str,
    root: str,
    run: str,
    corpus: str,
    label_list: LabelList = LabelList.CHESTXRAY14,
) -> LabelledSplits:
    """A corpus's labelled images, as large as the run's image tower sees them.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If there is no such corpus, it has no images, or a split has one class only.
    """
    opened = read_corpus(open_store(root), corpus)
    size_px = trained_model(root, run).config.image_tower.image_size_px
    labels = labels_of(label_list)
    return LabelledSplits(
        train=_labelled(name, opened.images(Split.TRAIN), size_px, labels),
        validation=_labelled(name, held_out_images(opened, Split.VALIDATION), size_px, labels),
        test=_labelled(name, held_out_images(opened, Split.TEST), size_px, labels),
    )


def paint_label_splits(
    name: str, painter: EngineConfig, num_images: tuple[int, int, int], seed: int
) -> LabelledSplits:
    """Phantoms with their truth for labels, each split drawn with a seed of its own.

    Args:
        name: What results call the set.
        painter: One that places findings by entity.
        num_images: To train on, to choose by and to measure on.
        seed: Of the first split; the others take the next two.
    """
    train, validation, test = (
        paint_phantom_set(name, painter, number, seed + place)
        for place, number in enumerate(num_images)
    )
    return LabelledSplits(train, validation, test)


def held_out_images(corpus: Corpus, split: Split) -> Iterator[CorpusImage]:
    """Images that nothing is trained on."""
    assert split is not Split.TRAIN, "training images are read where they are trained on"
    return corpus.images(split)


def _labelled(
    name: str, images: Iterable[CorpusImage], size_px: int, wanted: tuple[Label, ...]
) -> LabelledImages:
    """Decoded one by one, so that only the small ones are held."""
    from models.vlp.images import fit_square  # imports torch

    squares: list[NDArray[np.uint8]] = []
    labels: list[list[int]] = []
    groups: list[str] = []
    views: list[str] = []
    for image in images:
        squares.append(fit_square(decode_png(image.image), size_px))
        labels.append([label_of(image, label) for label in wanted])
        groups.append(image.patient_id)
        views.append(str(image.view or "unknown"))
    labels_NF = np.array(labels, dtype=np.int8).reshape(len(squares), len(wanted))
    return LabelledImages(name, squares, labels_NF, tuple(groups), tuple(views), wanted)
