"""What a tagger found in a corpus, stored beside it."""

from pathlib import Path

import pytest

from storage.corpora import Corpus, EntityCount, open_table, read_corpus
from storage.entity_tables import EntitySource, read_entity_source, write_entity_table
from storage.ingestion import corpus_reader, ingest
from storage.objects import LocalStore
from storage.records import EntityKind, Split
from tests.storage.readers.made_files import grey, write_csv

ROWS = [
    ("edema", EntityKind.ABNORMALITY, 2),
    ("edema", EntityKind.NON_ABNORMALITY, 7),
    ("edema", EntityKind.ABNORMALITY, 1),
]
FIRST = EntitySource("lexicon", "r1", Split.TRAIN)
SECOND = EntitySource("huggingface", "r2", None)


@pytest.fixture
def corpus(store: LocalStore, tmp_path: Path) -> Corpus:
    write_csv(tmp_path / "source" / "list.csv", [{"image": "a.png"}])
    (tmp_path / "source" / "a.png").write_bytes(grey())
    ingest(store, "pictures", corpus_reader("folder", tmp_path / "source"))
    return read_corpus(store, "pictures")


def test_entity_table_is_added_up_sorted_and_says_what_it_stands_for(
    store: LocalStore, corpus: Corpus
) -> None:
    merged = {("edema", EntityKind.ABNORMALITY): ("edema", "oedema")}
    write_entity_table(store, "pictures", ROWS, FIRST, merged)
    assert corpus.entity_counts() == [
        EntityCount("edema", EntityKind.NON_ABNORMALITY, 7),
        EntityCount("edema", EntityKind.ABNORMALITY, 3),
    ]
    table = open_table(store, "corpora/pictures.entities.lance")
    assert table is not None
    assert table.to_table()["variants"].to_pylist() == [[], ["edema", "oedema"]]
    assert read_entity_source(store, "pictures") == FIRST


def test_entity_table_same_rows_keep_the_version_others_make_one(
    store: LocalStore, corpus: Corpus
) -> None:
    first = write_entity_table(store, "pictures", ROWS, FIRST)
    assert write_entity_table(store, "pictures", ROWS[::-1], FIRST) == first
    second = write_entity_table(store, "pictures", ROWS[:1], SECOND)
    assert second > first
    assert read_entity_source(store, "pictures") == SECOND
    assert [row.num_mentions for row in corpus.entity_counts()] == [2]
    assert [row.num_mentions for row in corpus.entity_counts(first)] == [7, 3]


def test_entity_table_absent_empty_or_without_corpus_raises(
    store: LocalStore, corpus: Corpus
) -> None:
    assert read_entity_source(store, "pictures") is None
    with pytest.raises(ValueError, match="no entity table"):
        corpus.entity_counts()
    with pytest.raises(ValueError, match="at least one entity"):
        write_entity_table(store, "pictures", [], FIRST)
    with pytest.raises(ValueError, match="found none"):
        write_entity_table(store, "absent", ROWS, FIRST)
