"""The public datasets that can be brought in: what each is for, and how one comes by it.

Nothing is downloaded: whoever holds a dataset names its folder. What it must hold, by file, is
said here once, for `cxr-factory doctor --datasets` and for docs/datasets.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from storage.readers import (
    chexpert,
    covidx,
    mimic,
    nih,
    object_cxr,
    openi,
    padchest,
    rsna,
    siim,
    vindr,
)
from storage.readers.kinds import CorpusKind
from storage.readers.rows import CorpusReader
from storage.records import Split


class Access(StrEnum):
    """What stands between a person and the files."""

    OPEN = "open"
    RULES = "an account, and accepting the rules of a challenge"
    AGREEMENT = "a signed research use agreement"
    CREDENTIALED = "a credentialed PhysioNet account, its training and agreement"


class DatasetTask(StrEnum):
    """What a dataset can be used for here."""

    PRETRAINING = "pre-training"
    CLASSIFICATION = "classification"
    DETECTION = "detection"
    SEGMENTATION = "segmentation"


@dataclass(frozen=True, slots=True)
class DatasetTable:
    """One file that a dataset must hold.

    Attributes:
        patterns: Its name, or names of several releases; may hold `*`.
        columns: That it must have; empty where it is no CSV.
    """

    patterns: tuple[str, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicDataset:
    """One dataset.

    Attributes:
        kind: What `cxr-factory ingest` calls it.
        title: As it is published.
        tasks: What it is for.
        label_lists: Of `models.vocabulary.label_lists`, for zero-shot classification and probes;
            none where it has no labels.
        access: What it takes to get it.
        address: Where.
        tables: What its folder must hold beside the images.
        images: Where its images lie, as patterns of which one must match.
        reader: Reads it.
    """

    kind: CorpusKind
    title: str
    tasks: tuple[DatasetTask, ...]
    label_lists: tuple[str, ...]
    access: Access
    address: str
    tables: tuple[DatasetTable, ...]
    images: tuple[str, ...]
    reader: Callable[[Path], CorpusReader]

    @property
    def licence(self) -> str:
        """Of the images and of what is derived from them."""
        return self.reader(Path()).licence

    @property
    def restricted(self) -> bool:
        """Whether what derives from it is marked restricted, unless its user says otherwise."""
        return self.reader(Path()).restricted


_CLASSIFICATION = (DatasetTask.CLASSIFICATION,)
_WITH_BOXES = (DatasetTask.CLASSIFICATION, DatasetTask.DETECTION)

DATASETS: tuple[PublicDataset, ...] = (
    PublicDataset(
        kind=CorpusKind.MIMIC,
        title="MIMIC-CXR-JPG with the reports of MIMIC-CXR",
        tasks=(DatasetTask.PRETRAINING, DatasetTask.CLASSIFICATION),
        label_lists=("chexpert", "chexpert-5"),
        access=Access.CREDENTIALED,
        address="https://physionet.org/content/mimic-cxr-jpg/",
        tables=(
            DatasetTable(("mimic-cxr-*-split.csv*",), mimic.SPLIT_COLUMNS),
            DatasetTable(("mimic-cxr-*-metadata.csv*",), mimic.METADATA_COLUMNS),
            DatasetTable(("mimic-cxr-*-chexpert.csv*",), mimic.CHEXPERT_COLUMNS),
        ),
        images=("files/p1*",),
        reader=mimic.MimicReader,
    ),
    PublicDataset(
        kind=CorpusKind.OPENI,
        title="Indiana University chest X-rays (OpenI), reports",
        tasks=(DatasetTask.PRETRAINING,),
        label_lists=(),
        access=Access.OPEN,
        address="https://openi.nlm.nih.gov/faq",
        tables=(DatasetTable((openi.ARCHIVE_NAME,)),),
        images=(openi.ARCHIVE_NAME,),
        reader=openi.OpeniReader,
    ),
    PublicDataset(
        kind=CorpusKind.CHEXPERT,
        title="CheXpert",
        tasks=_CLASSIFICATION,
        label_lists=("chexpert", "chexpert-5"),
        access=Access.AGREEMENT,
        address="https://stanfordmlgroup.github.io/competitions/chexpert/",
        tables=(
            DatasetTable(chexpert.TRAIN_FILES, chexpert.COLUMNS),
            DatasetTable(chexpert.VALIDATION_FILES, chexpert.COLUMNS),
        ),
        images=("train/patient*", "valid/patient*"),
        reader=chexpert.ChexpertReader,
    ),
    PublicDataset(
        kind=CorpusKind.NIH,
        title="ChestX-ray14 of the NIH",
        tasks=_WITH_BOXES,
        label_lists=("chestxray14",),
        access=Access.OPEN,
        address="https://nihcc.app.box.com/v/ChestXray-NIHCC",
        tables=(DatasetTable(nih.LABEL_FILES, nih.LABEL_COLUMNS),),
        images=("images*",),
        reader=nih.NihReader,
    ),
    PublicDataset(
        kind=CorpusKind.PADCHEST,
        title="PadChest",
        tasks=_CLASSIFICATION,
        label_lists=("padchest-seen", "padchest-unseen", "padchest-rare"),
        access=Access.AGREEMENT,
        address="https://bimcv.cipf.es/bimcv-projects/padchest/",
        tables=(DatasetTable((padchest.TABLE, f"{padchest.TABLE}.gz"), padchest.COLUMNS),),
        images=("[0-9]*/*.png", "*.png"),
        reader=padchest.PadchestReader,
    ),
    PublicDataset(
        kind=CorpusKind.RSNA,
        title="RSNA Pneumonia Detection Challenge 2018",
        tasks=_WITH_BOXES,
        label_lists=("rsna",),
        access=Access.RULES,
        address="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge (and the mapping to "
        "patients from RSNA's page of the challenge)",
        tables=(
            DatasetTable((rsna.LABEL_FILE,), rsna.LABEL_COLUMNS),
            DatasetTable((rsna.CLASS_FILE,), rsna.CLASS_COLUMNS),
            DatasetTable((rsna.MAPPING_FILE,)),
        ),
        images=(f"{rsna.IMAGE_FOLDER}/*.dcm",),
        reader=rsna.RsnaReader,
    ),
    PublicDataset(
        kind=CorpusKind.SIIM,
        title="SIIM-ACR Pneumothorax Segmentation Challenge 2019",
        tasks=(*_WITH_BOXES, DatasetTask.SEGMENTATION),
        label_lists=("siim",),
        access=Access.RULES,
        address="https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation",
        tables=(DatasetTable(siim.TABLES, (siim.IMAGE_COLUMN,)),),
        images=siim.IMAGE_FOLDERS,
        reader=siim.SiimReader,
    ),
    PublicDataset(
        kind=CorpusKind.COVIDX,
        title="COVIDx (CXR-2, also called Covid19-CXR-2, and its other releases)",
        tasks=_CLASSIFICATION,
        label_lists=("covidx",),
        access=Access.OPEN,
        address="https://www.kaggle.com/datasets/andyczhao/covidx-cxr2",
        tables=(DatasetTable((covidx.TRAIN_FILE,)), DatasetTable((covidx.TEST_FILE,))),
        images=("train", "test"),
        reader=covidx.CovidxReader,
    ),
    PublicDataset(
        kind=CorpusKind.OBJECT_CXR,
        title="Object-CXR (MIDL 2020)",
        tasks=_WITH_BOXES,
        label_lists=("object-cxr",),
        access=Access.OPEN,
        address="https://jfhealthcare.github.io/object-CXR/",
        tables=(
            DatasetTable((object_cxr.TRAIN_FILE,), (object_cxr.ANNOTATION,)),
            DatasetTable((object_cxr.VALIDATION_FILE,), (object_cxr.ANNOTATION,)),
        ),
        images=("train", "dev"),
        reader=object_cxr.ObjectCxrReader,
    ),
    PublicDataset(
        kind=CorpusKind.VINDR,
        title="VinDr-CXR 1.0.0",
        tasks=_WITH_BOXES,
        label_lists=("vindr",),
        access=Access.CREDENTIALED,
        address="https://physionet.org/content/vindr-cxr/",
        tables=(
            DatasetTable((vindr.LABEL_FILES[Split.TRAIN],), vindr.LABEL_COLUMNS),
            DatasetTable((vindr.LABEL_FILES[Split.TEST],), vindr.LABEL_COLUMNS),
            DatasetTable((vindr.BOX_FILES[Split.TRAIN],), vindr.BOX_COLUMNS),
            DatasetTable((vindr.BOX_FILES[Split.TEST],), vindr.BOX_COLUMNS),
        ),
        images=("train/*.dicom", "test/*.dicom"),
        reader=vindr.VindrReader,
    ),
)
