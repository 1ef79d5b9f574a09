import pytest

from storage.layout import (
    DatasetLayout,
    Table,
    corpus_table,
    folder_number_of,
    model_folder,
    number_of,
)
from storage.records import Stage


def test_layout_keys_are_those_of_the_design() -> None:
    layout = DatasetLayout("demo")
    assert layout.plan_lock == "datasets/demo/plan.lock.json"
    assert layout.table(Table.PAIRS) == "datasets/demo/pairs.lance"
    assert layout.embeddings("rad-dino") == "datasets/demo/embeddings/rad-dino.lance"
    assert layout.ledger_record(Stage.PAINT, 7) == "datasets/demo/ledger/paint/7.json"
    assert layout.failure(Stage.WRITE, 7, "a1") == "datasets/demo/failures/write/7/a1.json"
    assert layout.staged(Stage.WRITE, 7, "a1") == "datasets/demo/staging/write/7/a1.arrow"
    assert layout.release(3) == "datasets/demo/releases/3.json"
    assert layout.slice("ap") == "datasets/demo/slices/ap.json"
    assert layout.study("first") == "datasets/demo/studies/first.json"
    assert corpus_table("openi") == "corpora/openi.lance"
    assert model_folder("run-1") == "models/run-1"


@pytest.mark.parametrize("name", ["", "Demo", "a/b", "..", "-a", "a b", "é", "a" * 101])
def test_layout_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="dataset name must be 1 to 100 of a-z"):
        DatasetLayout(name)


@pytest.mark.parametrize(
    ("key", "number"),
    [("a/12.json", 12), ("a/x.json", None), ("a/12", None), ("a/.DS_Store", None)],
)
def test_number_of_a_numbered_object_or_none(key: str, number: int | None) -> None:
    assert number_of(key) == number


@pytest.mark.parametrize(("key", "number"), [("s/paint/7/a1.arrow", 7), ("s/paint/x", None)])
def test_folder_number_of_a_numbered_folder_or_none(key: str, number: int | None) -> None:
    assert folder_number_of(key) == number
