"""The official split of ChestX-ray14: two lists of image files."""

from pathlib import Path
from typing import NamedTuple

TRAIN_LIST, TEST_LIST = "train_val_list.txt", "test_list.txt"


class OfficialLists(NamedTuple):
    """Image ids by official part; training and validation are one part."""

    train: frozenset[str]
    test: frozenset[str]


def official_lists(folder: Path) -> OfficialLists | None:
    """The two lists of a folder; None where it has neither.

    Raises:
        ValueError: If it has one of them alone: the other images would have no part.
    """
    held = [name for name in (TRAIN_LIST, TEST_LIST) if (folder / name).is_file()]
    if not held:
        return None
    if len(held) == 1:
        raise ValueError(
            f"ingest nih: expected both {TRAIN_LIST} and {TEST_LIST} or neither, got {held[0]} "
            "alone; download the other"
        )
    return OfficialLists(_ids(folder / TRAIN_LIST), _ids(folder / TEST_LIST))


def _ids(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: expected UTF-8 text, got {error}; save it anew") from error
    return frozenset(Path(line.strip()).stem for line in lines if line.strip())
