"""Labels as torchxrayvision reads them, on the beginning of official tables that it carries.

Its own rules that differ on purpose are undone here: it finds labels by parts of words, drops
what is uncertain, and takes one radiologist's word.
"""

import gzip
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from storage.readers.chexpert import ChexpertReader
from storage.readers.nih import NihReader
from storage.readers.run_lengths import mask_pixels
from storage.readers.siim import SIDE_PX, SiimReader
from tests.storage.readers.made_datasets import jpeg, radiograph, read, write
from tests.storage.readers.made_files import grey

NUM_LINES = 60


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchxrayvision import datasets
    return datasets


def beginning(theirs: ModuleType, name: str) -> list[str]:
    with gzip.open(Path(theirs.datapath) / name, "rt", encoding="utf-8") as file:
        return [next(file) for _ in range(NUM_LINES + 1)]


def stated(dataset: Any, ids: Iterable[str]) -> dict[str, set[str]]:
    """Labels present by image, of one of their datasets."""
    return {
        name: {label for label, value in zip(dataset.pathologies, row, strict=True) if value == 1}
        for name, row in zip(ids, dataset.labels, strict=True)
    }


def test_chexpert_labels(theirs: ModuleType, tmp_path: Path) -> None:
    lines = beginning(theirs, "chexpert_train.csv.gz")
    (tmp_path / "train.csv").write_text("".join(lines))
    (tmp_path / "valid.csv").write_text(lines[0])
    places = [line.split(",")[0].removeprefix("CheXpert-v1.0-small/") for line in lines[1:]]
    for place in places:
        jpeg(tmp_path / place)
    ours, skipped = read(ChexpertReader(tmp_path))
    dataset = theirs.CheX_Dataset(
        str(tmp_path), str(tmp_path / "train.csv"), views=["PA", "AP"], unique_patients=False
    )
    names = [name.removeprefix("CheXpert-v1.0-small/")[:-4] for name in dataset.csv["Path"]]
    assert stated(dataset, names) == {name: set(row["labels"]) for name, row in ours.items()}
    uncertain = [name for name, row in ours.items() if row["uncertain_labels"]]
    assert uncertain
    assert all(np.isnan(dataset.labels[names.index(name)]).any() for name in uncertain)
    assert len(ours) + len(skipped) == NUM_LINES


def test_chestxray14_labels_and_boxes(theirs: ModuleType, tmp_path: Path) -> None:
    lines = beginning(theirs, "Data_Entry_2017_v2020.csv.gz")
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("".join(lines))
    names = [line.split(",")[0] for line in lines[1:]]
    boxes = beginning(theirs, "BBox_List_2017.csv.gz")
    boxes[1] = boxes[1].replace("00013118_008.png", names[0])
    (tmp_path / "BBox_List_2017.csv").write_text("".join(boxes))
    for name in names:
        write(tmp_path / "images" / name, grey(side_px=1024) if name == names[0] else grey())
    ours, _ = read(NihReader(tmp_path))
    dataset = theirs.NIH_Dataset(
        str(tmp_path / "images"),
        str(tmp_path / "Data_Entry_2017_v2020.csv"),
        str(tmp_path / "BBox_List_2017.csv"),
        views=["PA", "AP"],
        unique_patients=False,
        pathology_masks=True,
    )
    of_theirs = stated(dataset, [Path(name).stem for name in dataset.csv["Image Index"]])
    assert of_theirs == {name: set(row["labels"]) for name, row in ours.items()}
    (box,) = ours[Path(names[0]).stem]["boxes"]
    masks = dataset.get_mask_dict(names[0], 1024)
    rows, columns = np.nonzero(masks[dataset.pathologies.index(box["label"])][0])
    assert abs(columns.min() - box["x_px"]) < 1
    assert abs(rows.max() + 1 - (box["y_px"] + box["height_px"])) < 2


def test_siim_masks_are_theirs_and_boxes_surround_them(theirs: ModuleType, tmp_path: Path) -> None:
    lines = beginning(theirs, "siim-pneumothorax-train-rle.csv.gz")
    (tmp_path / "train-rle.csv").write_text("".join(lines))
    images = {line.split(",")[0] for line in lines[1:]}
    content = radiograph(SIDE_PX, SIDE_PX)
    for image in images:
        write(tmp_path / "dicom-images-train" / f"{image}.dcm", content)
    ours, _ = read(SiimReader(tmp_path))
    dataset = theirs.SIIM_Pneumothorax_Dataset(str(tmp_path), str(tmp_path / "train-rle.csv"))
    positive = {n for n, label in zip(dataset.csv["ImageId"], dataset.labels, strict=True) if label}
    assert positive
    assert {name for name, row in ours.items() if row["labels"]} == positive
    for name in sorted(positive):
        (mask,) = dataset.get_pathology_mask_dict(name, 1024)[0]
        rows, columns = np.nonzero(mask)
        box, own = ours[name]["boxes"][-1], ours[name]["masks"][-1]  # theirs keeps the last one
        np.testing.assert_array_equal(mask_pixels(own["counts"], SIDE_PX, SIDE_PX), mask == 1)
        assert (box["x_px"], box["y_px"]) == (columns.min(), rows.min())
        assert box["width_px"] == columns.max() - columns.min() + 1
        assert box["height_px"] == rows.max() - rows.min() + 1
