import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sampling.curation import DropReason, curate, drop_reason, merge_duplicates, singular
from models.sampling.entity_table import EntityTable, vocabulary_table
from models.vocabulary.concepts import load_vocabulary
from storage.records import EntityKind

ABNORMAL, DENIED = EntityKind.ABNORMALITY, EntityKind.NON_ABNORMALITY
VOCABULARY = load_vocabulary()


def test_merge_duplicates_case_space_hyphen_plural_and_synonym_become_one() -> None:
    table = EntityTable.from_counts(
        [
            ("Pleural  Effusion", ABNORMAL, 5),
            ("pleural effusions", ABNORMAL, 3),
            ("pleural fluid", ABNORMAL, 2),
            ("thymic cyst", ABNORMAL, 4),
            ("Thymic-cysts", ABNORMAL, 1),
        ]
    )
    unique, merged = merge_duplicates(table, VOCABULARY)
    assert unique.rows() == [("pleural effusion", ABNORMAL, 10), ("thymic cyst", ABNORMAL, 5)]
    assert [entity.merged for entity in merged] == [
        ("Pleural  Effusion", "pleural effusions", "pleural fluid"),
        ("thymic cyst", "Thymic-cysts"),
    ]


def test_merge_duplicates_present_and_denied_stay_apart() -> None:
    table = EntityTable.from_counts([("edema", ABNORMAL, 2), ("edema", DENIED, 3)])
    unique, merged = merge_duplicates(table, VOCABULARY)
    assert len(unique) == 2
    assert not merged


def test_merge_duplicates_kind_becomes_that_of_the_vocabulary() -> None:
    rows = [("pneumonia", ABNORMAL, 2), ("pneumonia", EntityKind.DISEASE, 1)]
    denied = [("pneumonia", DENIED, 4)]
    unique, _ = merge_duplicates(EntityTable.from_counts(rows + denied), VOCABULARY)
    assert unique.rows() == [
        ("pneumonia", EntityKind.NON_DISEASE, 4),
        ("pneumonia", EntityKind.DISEASE, 3),
    ]


def test_merge_duplicates_foreign_strings_by_spelling_and_across_polarity() -> None:
    table = EntityTable.from_counts(
        [
            ("thymic tumour", EntityKind.DISEASE, 6),
            ("thymic tumors", ABNORMAL, 2),
            ("Thymic Tumors", EntityKind.NON_DISEASE, 3),
            ("pulmonary oedema", ABNORMAL, 2),  # the vocabulary's, in another spelling
            ("mid-clavicle", EntityKind.ANATOMY, 2),
            ("midclavicle", EntityKind.ANATOMY, 1),
        ]
    )
    unique, merged = merge_duplicates(table, VOCABULARY)
    assert {(text, kind): count for text, kind, count in unique.rows()} == {
        ("thymic tumour", EntityKind.DISEASE): 8,
        ("thymic tumour", EntityKind.NON_DISEASE): 3,
        ("pulmonary edema", ABNORMAL): 2,
        ("mid clavicle", EntityKind.ANATOMY): 3,
    }
    assert {entity.merged for entity in merged} == {
        ("thymic tumour", "thymic tumors"),
        ("mid-clavicle", "midclavicle"),
    }


def test_merge_duplicates_statement_of_normality_is_the_denied_concept() -> None:
    table = EntityTable.from_counts([("Normal heart size", DENIED, 2)])
    unique, _ = merge_duplicates(table, VOCABULARY)
    assert unique.rows() == [("cardiomegaly", DENIED, 2)]


def test_curate_drops_with_reasons_and_keeps_known_terms() -> None:
    table = EntityTable.from_counts(
        [
            ("increased lung volumes", ABNORMAL, 1),  # a synonym of hyperinflation
            ("increased thymic shadow", ABNORMAL, 2),
            ("unchanged thymic cyst", DENIED, 3),
            ("pneumothorax in the ribs", ABNORMAL, 4),
            ("pneumothorax in the left lung apex", ABNORMAL, 6),
            ("-- 12", ABNORMAL, 5),
        ]
    )
    curation = curate(table, VOCABULARY)
    assert [text for text, _, _ in curation.table.rows()] == [
        "pneumothorax in the left lung apex",
        "hyperinflation",
    ]
    assert {(entity.text, entity.reason) for entity in curation.dropped} == {
        ("increased thymic shadow", DropReason.COMPARISON_WORD),
        ("unchanged thymic cyst", DropReason.COMPARISON_WORD),
        ("pneumothorax in the ribs", DropReason.MISPLACED),
        ("12", DropReason.NO_WORD),
    }


def test_curate_nothing_left_raises() -> None:
    table = EntityTable.from_counts([("new", ABNORMAL, 1)])
    with pytest.raises(ValueError, match="at least one usable entity"):
        curate(table, VOCABULARY)


def test_curate_built_in_table_loses_nothing() -> None:
    table = vocabulary_table(VOCABULARY)
    curation = curate(table, VOCABULARY)
    assert sorted(curation.table.rows()) == sorted(table.rows())
    assert not curation.merged
    assert not curation.dropped


def test_drop_reason_denied_finding_in_odd_place_is_kept() -> None:
    assert drop_reason("pneumothorax in the ribs", DENIED, VOCABULARY) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("thymic cysts", "thymic cyst"),
        ("opacities", "opacity"),
        ("masses", "mass"),
        ("pelvis", "pelvis"),
        ("metastases", "metastasis"),
    ],
)
def test_singular_gives_back_what_plural_made(text: str, expected: str) -> None:
    assert singular(text) == expected


WORDS = st.sampled_from(["edema", "Edema", "effusions", "effusion", "thymic cyst", "new mass"])
ROWS = st.lists(
    st.tuples(WORDS, st.sampled_from([ABNORMAL, DENIED]), st.integers(1, 9)), min_size=1
)


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_merge_duplicates_keeps_all_mentions_and_is_idempotent(
    rows: list[tuple[str, EntityKind, int]],
) -> None:
    table = EntityTable.from_counts(rows)
    unique, _ = merge_duplicates(table, VOCABULARY)
    again, merged = merge_duplicates(unique, VOCABULARY)
    assert unique.counts.sum() == table.counts.sum()
    assert again.rows() == unique.rows()
    assert not merged
