"""Cells of a source's tables as this project writes them: view, sex, age, split, yes or no."""

import re

from storage.records import Sex, Split, View

MAX_AGE_YEARS = 120  # official files have ages up to 414
LATERAL_VIEWS = frozenset({"L", "LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT"})

_SPLITS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "validation": Split.VALIDATION,
    "validate": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "val": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
}
_VIEWS = {
    "PA": View.PA,
    "POSTEROANTERIOR": View.PA,
    "POSTERO-ANTERIOR": View.PA,
    "AP": View.AP,
    "ANTEROPOSTERIOR": View.AP,
    "ANTERO-POSTERIOR": View.AP,
}
_YES = frozenset({"1", "1.0", "true", "yes", "y", "inverted", "monochrome1"})
_AGE = re.compile(r"0*(\d{1,3})(?:\.\d+)?Y?")


def view_of(text: str) -> str | None:
    """The frontal view of a cell such as "PA" or "AP Supine"; None for any other or none."""
    first = text.strip().upper().replace("_", " ").split(" ")[0]
    return _VIEWS.get(first)


def is_lateral(text: str) -> bool:
    """Whether a cell names a lateral view."""
    return text.strip().upper() in LATERAL_VIEWS


def sex_of(text: str) -> str | None:
    """The sex of a cell such as "F" or "female"; None for anything else."""
    value = text.strip().lower()
    if value in ("f", "female"):
        return Sex.FEMALE
    return Sex.MALE if value in ("m", "male") else None


def age_years(text: str) -> int | None:
    """Age from "58", "58.0" or "058Y"; None when absent, in months or impossible."""
    match = _AGE.fullmatch(text.strip().upper())
    age = int(match[1]) if match else None
    return age if age is not None and age <= MAX_AGE_YEARS else None


def split_of(text: str) -> Split:
    """The split a source's own column names.

    Raises:
        ValueError: If it names none.
    """
    try:
        return _SPLITS[text.strip().lower()]
    except KeyError:
        raise ValueError(f"split must be train, validation or test, got {text!r}") from None


def is_yes(text: str) -> bool:
    """Whether a cell says yes; of an `inverted` column also by MONOCHROME1."""
    return text.strip().lower() in _YES


def number_of(text: str) -> float | None:
    """The number in a cell; 0 for an empty one, None for words."""
    try:
        return float(text or 0)
    except ValueError:
        return None
