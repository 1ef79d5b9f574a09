"""The sources that can be brought in, by name; `storage/ingestion.py` has their readers."""

from enum import StrEnum


class CorpusKind(StrEnum):
    """Layout of a source."""

    OPENI = "openi"
    NIH = "nih"
    MIMIC = "mimic"
    CHEXPERT = "chexpert"
    PADCHEST = "padchest"
    RSNA = "rsna"
    SIIM = "siim"
    COVIDX = "covidx"
    OBJECT_CXR = "object-cxr"
    VINDR = "vindr"
    FOLDER = "folder"
