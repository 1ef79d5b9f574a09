"""A corpus's masks, or its boxes filled, at the size that a run's image tower sees.

Patients keep the split they were given at ingest.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.downstream.boxed_images import FindingBox, filled
from models.downstream.masked_images import MaskedImages, MaskOrigin, fitted_mask
from models.downstream.masked_splits import MaskedSplits
from models.images import decode_png
from models.vocabulary.findings import Finding
from storage.corpora import Corpus, ImageNote, read_corpus
from storage.objects import open_store
from storage.readers.rows import CorpusImage
from storage.readers.run_lengths import mask_pixels
from storage.records import Split
from tasks.evaluation import trained_model
from tasks.label_splits import held_out_images

_MARKED_BY: dict[MaskOrigin, Literal["boxes", "masks"]] = {
    MaskOrigin.DRAWN: "masks",
    MaskOrigin.FILLED_BOXES: "boxes",
}


class ByMark(NamedTuple):
    """Images of which it is known where the findings asked for are, by id.

    Attributes:
        shown: That show some.
        blank: That show none.
    """

    shown: tuple[str, ...]
    blank: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Both."""
        return self.shown + self.blank

    def drawn(self, blank_per_shown: int | None, seed: int) -> tuple[str, ...]:
        """Those that show a finding, and at most so many others for each of them; None: all."""
        if blank_per_shown is None:
            return self.all
        random = np.random.default_rng([seed, *b"blank images"])
        num_blank = min(len(self.blank), blank_per_shown * len(self.shown))
        chosen = random.choice(len(self.blank), num_blank, replace=False)
        return self.shown + tuple(self.blank[place] for place in chosen)


def by_mark(
    notes: Iterable[ImageNote],
    marked: Mapping[str, Collection[str]],
    findings: Collection[Finding],
) -> ByMark:
    """Images with and without the findings; one that has a finding nobody marked is neither.

    Args:
        notes: What the corpus states of each image.
        marked: Labels of the marks of each image that has some, by its id.
        findings: Asked for.
    """
    shown: list[str] = []
    blank: list[str] = []
    for note in notes:
        own = marked.get(note.image_id, ())
        said = {*note.labels, *note.uncertain_labels}
        if any(one.value in said and one.value not in own for one in findings):
            continue
        (shown if any(one.value in own for one in findings) else blank).append(note.image_id)
    return ByMark(tuple(shown), tuple(blank))


@task(name="read-masked-splits", cache_policy=NO_CACHE, persist_result=False)
def read_masked_splits(
    name: str,
    root: str,
    run: str,
    corpus: str,
    origin: MaskOrigin,
    findings: tuple[Finding, ...],
    blank_per_shown: int | None,
    seed: int,
) -> MaskedSplits:
    """A corpus's images and masks to train, choose and measure a segmentation on.

    Images that are labelled with one of the findings, or possibly, and have no mask of it are left
    out: the finding is somewhere, and marking it there would be called wrong.

    Args:
        name: What results call the set.
        root: Of the corpus and the run.
        run: Whose image tower gives the size.
        corpus: An ingested one.
        origin: Its own masks, or its boxes.
        findings: To be marked.
        blank_per_shown: Training images that show none of them, for each that shows one, at most;
            None: all.
        seed: Of the draw of these.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If there is no such corpus, it has no such masks, or one is not of its image.
    """
    opened = marked_corpus(root, corpus, origin)
    size_px = trained_model(root, run).config.image_tower.image_size_px

    def images_of(split: Split) -> ByMark:
        marked = opened.marked(_MARKED_BY[origin], split)
        return by_mark(opened.image_notes(split), marked, findings)

    taught = images_of(Split.TRAIN).drawn(blank_per_shown, seed)
    train, validation, test = (
        masked_images(name, images, origin, size_px, findings)
        for images in (
            opened.images(Split.TRAIN, taught),
            held_out_images(opened, Split.VALIDATION, images_of(Split.VALIDATION).all),
            held_out_images(opened, Split.TEST, images_of(Split.TEST).all),
        )
    )
    return MaskedSplits(train, validation, test)


@task(name="read-masked-sets", cache_policy=NO_CACHE, persist_result=False)
def read_masked_sets(
    name: str, root: str, run: str, corpus: str, origin: MaskOrigin
) -> tuple[MaskedImages, MaskedImages]:
    """Validation and test images of a corpus in which some finding is marked, to ground in.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If there is no such corpus, it has no such masks in one of the splits, or one
            is not of its image.
    """
    opened = marked_corpus(root, corpus, origin)
    size_px = trained_model(root, run).config.image_tower.image_size_px
    by = _MARKED_BY[origin]
    marked = {split: opened.marked(by, split) for split in (Split.VALIDATION, Split.TEST)}
    for split, of_split in marked.items():
        if not of_split:
            raise ValueError(
                f"grounding needs {split} patients with {by}, corpus {corpus!r} has none; "
                "bring it in with another split, or name another corpus"
            )
    validation, test = (
        masked_images(
            name, held_out_images(opened, split, of_split), origin, size_px, tuple(Finding)
        )
        for split, of_split in marked.items()
    )
    return validation, test


def masked_images(
    name: str,
    images: Iterable[CorpusImage],
    origin: MaskOrigin,
    size_px: int,
    findings: Collection[Finding],
) -> MaskedImages:
    """Images and masks with their longest side shrunk, one by one, so that few large ones are held.

    Args:
        name: What results call the set.
        images: Of the corpus.
        origin: Its own masks, or its boxes.
        size_px: Of the longest side.
        findings: Whose masks are wanted.

    Raises:
        ValueError: If a mask is not of its image's size.
    """
    from models.vlp.images import fit_side  # imports torch

    shrunk: list[NDArray[np.uint8]] = []
    masks: list[dict[Finding, NDArray[np.bool_]]] = []
    groups: list[str] = []
    for image in images:
        pixels_HW = decode_png(image.image)
        fitted_HW = fit_side(pixels_HW, size_px)
        own = _masks_of(image, origin, findings, *pixels_HW.shape)
        shrunk.append(fitted_HW)
        masks.append({key: fitted_mask(one, *fitted_HW.shape) for key, one in own.items()})
        groups.append(image.patient_id)
    return MaskedImages(name, shrunk, masks, tuple(groups), origin)


def _masks_of(
    image: CorpusImage, origin: MaskOrigin, findings: Collection[Finding], height: int, width: int
) -> dict[Finding, NDArray[np.bool_]]:
    if origin is MaskOrigin.FILLED_BOXES:
        return filled(
            [
                FindingBox(
                    Finding(box.label),
                    box.x_px,
                    box.y_px,
                    box.x_px + box.width_px,
                    box.y_px + box.height_px,
                )
                for box in image.boxes
                if box.label in findings
            ],
            height,
            width,
        )
    masks: dict[Finding, NDArray[np.bool_]] = {}
    for mask in image.masks:
        if mask.label in findings:
            one_HW = masks.setdefault(Finding(mask.label), np.zeros((height, width), bool))
            try:
                one_HW |= mask_pixels(mask.counts, height, width)
            except ValueError as error:
                raise ValueError(
                    f"{mask.label} mask of image {image.image_id!r}: {error}"
                ) from error
    return masks


def marked_corpus(root: str, name: str, origin: MaskOrigin) -> Corpus:
    """Open a corpus that marks findings as a plan says.

    Raises:
        ValueError: If there is none of this name, or it marks none so; says what it has instead.
    """
    opened = read_corpus(open_store(root), name)
    if opened.marked(_MARKED_BY[origin], None):
        return opened
    if origin is MaskOrigin.DRAWN:
        raise ValueError(
            f"corpus {name!r} ({opened.info.collection}) has no masks; say masks: filled_boxes if "
            "it has boxes, name another corpus, or, if it is of siim and was brought in before "
            "masks were kept, bring it in anew under another name"
        )
    raise ValueError(
        f"corpus {name!r} ({opened.info.collection}) has no boxes to fill; name another corpus, or "
        "say masks: drawn if it has masks"
    )
