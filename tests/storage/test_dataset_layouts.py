from collections.abc import Callable
from pathlib import Path

import pytest

from storage.dataset_layouts import Presence, find_datasets
from storage.ingestion import corpus_reader
from storage.public_datasets import DATASETS, Access, PublicDataset
from storage.readers.kinds import CorpusKind
from tests.storage.readers.made_datasets import (
    make_chexpert,
    make_covidx,
    make_nih,
    make_object_cxr,
    make_padchest,
    make_rsna,
    make_siim,
    make_vindr,
)
from tests.storage.readers.made_files import make_mimic


def make_openi(folder: Path) -> None:
    (folder / "NLMCXR_reports.tgz").write_bytes(b"")


MAKERS: dict[CorpusKind, Callable[[Path], object]] = {
    CorpusKind.MIMIC: make_mimic,
    CorpusKind.OPENI: make_openi,
    CorpusKind.CHEXPERT: make_chexpert,
    CorpusKind.NIH: make_nih,
    CorpusKind.PADCHEST: make_padchest,
    CorpusKind.RSNA: make_rsna,
    CorpusKind.SIIM: make_siim,
    CorpusKind.COVIDX: lambda folder: make_covidx(folder, ["1 a.png positive c"], []),
    CorpusKind.OBJECT_CXR: make_object_cxr,
    CorpusKind.VINDR: make_vindr,
}


def test_registry_names_every_kind_of_source_but_ones_own_folder() -> None:
    assert [dataset.kind for dataset in DATASETS] == list(MAKERS)
    assert set(MAKERS) == set(CorpusKind) - {CorpusKind.FOLDER}


@pytest.mark.parametrize("dataset", DATASETS, ids=[dataset.kind.value for dataset in DATASETS])
def test_registry_agrees_with_the_reader_that_ingest_takes(
    dataset: PublicDataset, tmp_path: Path
) -> None:
    reader = corpus_reader(dataset.kind, tmp_path)
    assert (reader.licence, reader.restricted) == (dataset.licence, dataset.restricted)
    if dataset.access in (Access.AGREEMENT, Access.CREDENTIALED):
        assert dataset.restricted


def test_find_datasets_whatever_their_folders_are_called(tmp_path: Path) -> None:
    for number, make in enumerate(MAKERS.values()):
        (tmp_path / f"disk{number}").mkdir()
        make(tmp_path / f"disk{number}")
    found = find_datasets(tmp_path)
    assert [one.presence for one in found] == [Presence.PRESENT] * len(DATASETS)
    places = [Path(str(one.folder)).name for one in found]
    assert places == [f"disk{number}" for number in range(len(DATASETS))]
    assert found[0].said == f"cxr-factory ingest mimic {tmp_path}/disk0 --name mimic"


def test_find_datasets_absent_ones_say_how_to_get_them(tmp_path: Path) -> None:
    found = {one.name: one for one in find_datasets(tmp_path)}
    assert {one.presence for one in found.values()} == {Presence.ABSENT}
    assert found["vindr"].said.endswith(
        "(a credentialed PhysioNet account, its training and agreement)"
    )
    assert "no folder with NLMCXR_reports.tgz; get it at https://" in found["openi"].said


def test_find_datasets_folder_in_another_layout_is_named_with_what_it_lacks(
    tmp_path: Path,
) -> None:
    for kind in ("rsna", "chexpert", "siim", "covidx"):
        (tmp_path / kind).mkdir()
    (make_rsna(tmp_path / "rsna") / "stage_2_detailed_class_info.csv").unlink()
    (make_chexpert(tmp_path / "chexpert") / "valid.csv").write_text("Path,Edema\n")
    (make_siim(tmp_path / "siim") / "dicom-images-train").rename(tmp_path / "siim" / "images")
    found = {one.name: one for one in find_datasets(tmp_path)}
    wrong = {name for name, one in found.items() if one.presence is Presence.OTHER_LAYOUT}
    assert wrong == {"rsna", "chexpert", "siim", "covidx"}
    assert "expected stage_2_detailed_class_info.csv in" in found["rsna"].said
    assert "found pneumonia-challenge-dataset-mappings_2018.json, stage_2" in found["rsna"].said
    assert "valid.csv: expected the columns Path, Cardiomegaly" in found["chexpert"].said
    assert "expected images as dicom-images-train or stage_2_images in" in found["siim"].said
    assert found["covidx"].said.endswith("found nothing")


def test_find_datasets_no_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a folder that holds datasets, got .*absent"):
        find_datasets(tmp_path / "absent")
