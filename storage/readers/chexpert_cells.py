"""What a line of a table by the CheXpert labeller states: MIMIC-CXR-JPG's and CheXpert's own.

Source: Irvin et al. 2019, "CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels and
Expert Comparison", table 1: 1 is present, -1 uncertain, 0 absent, blank not mentioned.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

from storage.readers.values import number_of

NO_FINDING = "No Finding"
LABELS = {"Pleural Effusion": "Effusion"}  # as ChestX-ray14 spells it; the others agree

StatedLabels = tuple[tuple[str, ...], tuple[str, ...]]  # present, uncertain


def stated_labels(line: Mapping[str, str], other_columns: Collection[str]) -> StatedLabels:
    """Labels present and uncertain; what is denied or not mentioned is in neither.

    Args:
        line: Of the table, cells by column.
        other_columns: Those that are no labels, `No Finding` apart.
    """
    by_value: dict[float, list[str]] = defaultdict(list)
    for name, cell in line.items():
        if name not in other_columns and name != NO_FINDING and (value := number_of(cell)):
            by_value[value].append(LABELS.get(name, name))
    return tuple(by_value[1.0]), tuple(by_value[-1.0])
