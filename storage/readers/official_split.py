"""Official splits: kept where a dataset has one, completed where it has only two parts.

What a dataset was published to be tested on stays its test set, so that figures may be laid beside
those of papers. Validation patients are then drawn from its training patients.
"""

from collections.abc import Collection

from storage.readers.rows import patient_split
from storage.records import Split

VALIDATION_SHARE = 0.1  # of official training patients, where no validation part is published
IN_MEASURED_PART = "patient is also in the official validation or test part"


def train_or_validation(collection: str, patient_id: str) -> Split:
    """The split of a patient of the official training part; a hash, as `patient_split`."""
    return patient_split(collection, patient_id, (1 - VALIDATION_SHARE, VALIDATION_SHARE, 0.0))


def official_split(
    part: Split, parts: Collection[Split], collection: str, patient_id: str
) -> Split:
    """The split of a patient in an official part.

    With three parts, each is what it is called. Where only a training and a validation part are
    published (or held), measuring is done on the latter, as the literature does (MGCA, section
    4.1), and validation patients come out of the training part.

    Args:
        part: The official part that lists the patient.
        parts: Those that there are.
        collection: Whose patient this is.
        patient_id: As the source writes it.
    """
    if part is Split.VALIDATION and Split.TEST not in parts:
        return Split.TEST
    if part is Split.TRAIN and not {Split.VALIDATION, Split.TEST} <= set(parts):
        return train_or_validation(collection, patient_id)
    return part
