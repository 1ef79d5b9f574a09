"""Labelled images in three splits for probes and fine-tuning, at the size the model sees.

Patients keep the split they were given at ingest: classifiers are trained on those of training,
chosen by those of validation and measured on those of test.
"""

from collections.abc import Collection, Iterator

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.downstream.labelled_splits import LabelledSplits
from models.engines import EngineConfig
from models.vocabulary.label_lists import LabelList, labels_of
from storage.corpora import Corpus, read_corpus
from storage.objects import open_store
from storage.readers.rows import CorpusImage
from storage.records import Split
from tasks.evaluation import labelled_images, paint_phantom_set, trained_model


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
    validation, test = (held_out_images(opened, one) for one in (Split.VALIDATION, Split.TEST))
    return LabelledSplits(
        train=labelled_images(name, opened.images(Split.TRAIN), size_px, labels),
        validation=labelled_images(name, validation, size_px, labels),
        test=labelled_images(name, test, size_px, labels),
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


def held_out_images(
    corpus: Corpus, split: Split, among: Collection[str] | None = None
) -> Iterator[CorpusImage]:
    """Images that nothing is trained on; of some ids, or all."""
    assert split is not Split.TRAIN, "training images are read where they are trained on"
    return corpus.images(split, among)
