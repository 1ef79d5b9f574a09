"""Where images to calibrate a gate on come from: a corpus's training patients, or a folder."""

import io
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from models.gates.calibration_rules import CalibrationRules
from models.gates.examples import ImageExample
from storage.corpora import Corpus, read_corpus
from storage.objects import ObjectStore
from storage.readers.csv_lines import csv_lines
from storage.readers.folder import TABLE_ENDINGS, FolderReader
from storage.readers.radiograph import read_radiograph
from storage.readers.rows import Skipped
from storage.records import Split

UNNAMED = "bad"  # what is wrong with a bad image of which nothing more is said
ItemT = TypeVar("ItemT")

ENDINGS = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")


class CorpusImages(BaseModel):
    """The images of an ingested corpus's training patients; a bad one's label says its fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["corpus"] = "corpus"
    corpus: str = Field(min_length=1, description="Name of an ingested corpus of images.")


class FolderImages(BaseModel):
    """Images of a folder, or of a CSV as `cxr-factory ingest folder` reads it.

    Of a CSV, the rows of training patients are taken, and the first label is the fault. Without
    one, the folder below it that holds a file says its fault, and every file is its own patient.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1, max_length=4096, description="A folder, or a CSV.")
    restricted: bool = Field(False, description="Whether it is credentialed data.")


class SpoiledImages(BaseModel):
    """Bad images made of the good ones in ten built-in ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["spoiled"] = "spoiled"
    num_per_kind: int = Field(30, ge=6, le=10_000, description="Spoiled images of each kind.")


ImageSource = Annotated[CorpusImages | FolderImages, Field(discriminator="kind")]
BadImageSource = Annotated[CorpusImages | FolderImages | SpoiledImages, Field(discriminator="kind")]


class Found(NamedTuple):
    """Images of a source; `num_unreadable` files and lines gave none."""

    examples: list[ImageExample]
    num_unreadable: int
    restricted: bool


class _Stored(NamedTuple):
    patient_id: str
    fault: str
    image: bytes


def read_examples(
    store: ObjectStore, source: CorpusImages | FolderImages, rules: CalibrationRules, *, good: bool
) -> Found:
    """The images of a source, spread evenly over it, shrunk as the rules say.

    Args:
        store: The root that holds corpora.
        source: Which.
        rules: How many, how large.
        good: Whether they are good; a bad image carries what is wrong with it.

    Raises:
        ValueError: If there is no such corpus or folder, or no image in it.
    """
    if isinstance(source, CorpusImages):
        corpus = read_corpus(store, source.corpus)
        rows: Iterator[_Stored | Skipped] = _of_corpus(corpus, rules.max_images)
        restricted = corpus.info.restricted
    else:
        rows, restricted = _of_folder(source, rules.max_images), source.restricted
    examples: list[ImageExample] = []
    num_unreadable = 0
    for row in rows:
        if isinstance(row, Skipped):
            num_unreadable += 1
        else:
            pixels = shrunk(row.image, rules.max_side_px)
            examples.append(ImageExample(row.patient_id, "" if good else row.fault, pixels))
    if not examples:
        raise ValueError(
            f"expected images in {source.model_dump()!r}, got none of a training patient "
            f"({num_unreadable} unreadable); name another source"
        )
    return Found(examples, num_unreadable, restricted)


def _of_corpus(corpus: Corpus, max_images: int) -> Iterator[_Stored | Skipped]:
    images = corpus.images(Split.TRAIN)
    for image in evenly(images, corpus.num_rows, max_images):
        yield _Stored(image.patient_id, next(iter(image.labels), UNNAMED), image.image)


def _of_folder(source: FolderImages, max_images: int) -> Iterator[_Stored | Skipped]:
    place = Path(source.path).expanduser()
    if not place.exists():
        raise ValueError(
            f"images must lie in a folder or be listed in a CSV, got {source.path!r}, "
            "which does not exist; correct the path"
        )
    inside = (place,) if place.is_file() else place.iterdir()
    if any(path.name.lower().endswith(TABLE_ENDINGS) for path in inside):
        return _listed(FolderReader(place), max_images)
    return _unlisted(place, max_images)


def _listed(reader: FolderReader, max_images: int) -> Iterator[_Stored | Skipped]:
    num_lines = sum(1 for _ in csv_lines(reader.table, ()))
    for row in evenly(reader.rows(), num_lines, max_images):
        if isinstance(row, Skipped):
            yield row
        elif row["split"] is Split.TRAIN:
            yield _Stored(row["patient_id"], next(iter(row["labels"]), UNNAMED), row["image"])


def _unlisted(folder: Path, max_images: int) -> Iterator[_Stored | Skipped]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    for path in evenly(paths, len(paths), max_images):
        place = path.relative_to(folder)
        try:
            image = read_radiograph(path).content
        except ValueError as error:
            yield Skipped(str(place), str(error))
        else:
            fault = place.parts[0] if len(place.parts) > 1 else UNNAMED
            yield _Stored(str(place.with_suffix("")), fault, image)


def evenly(images: Iterable[ItemT], num_images: int, max_images: int) -> Iterator[ItemT]:
    """At most so many of a source's images, spread over it."""
    return islice(images, 0, None, max(1, -(-num_images // max_images)))


def shrunk(content: bytes, max_side_px: int) -> NDArray[np.uint8]:
    """Grey levels of an encoded image, its longest side at most so many pixels."""
    with Image.open(io.BytesIO(content)) as image:
        grey = image.convert("L")
    grey.thumbnail((max_side_px, max_side_px), Image.Resampling.BILINEAR)
    return np.asarray(grey)
