import numpy as np
import pytest

from models.sampling.entity_table import EntityTable, gini, long_tails, vocabulary_table
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding
from storage.records import Entity, EntityKind, EntityStatus


def test_from_counts_adds_equal_entities_and_sorts_by_count() -> None:
    table = EntityTable.from_counts(
        [
            ("edema", EntityKind.ABNORMALITY, 2),
            ("mass", EntityKind.ABNORMALITY, 4),
            ("edema", EntityKind.ABNORMALITY, 3),
            ("edema", EntityKind.NON_ABNORMALITY, 1),
        ]
    )
    assert table.rows() == [
        ("edema", EntityKind.ABNORMALITY, 5),
        ("mass", EntityKind.ABNORMALITY, 4),
        ("edema", EntityKind.NON_ABNORMALITY, 1),
    ]


def test_from_counts_zero_count_raises() -> None:
    with pytest.raises(ValueError, match="counts of at least 1"):
        EntityTable.from_counts([("edema", EntityKind.ABNORMALITY, 0)])


def test_from_tagged_counts_an_entity_once_per_report() -> None:
    edema = Entity("edema", EntityKind.ABNORMALITY, EntityStatus.PRESENT)
    table = EntityTable.from_tagged([(edema, edema), (edema,), ()])
    assert table.rows() == [("edema", EntityKind.ABNORMALITY, 2)]


def test_pools_of_a_table_are_a_partition() -> None:
    table = vocabulary_table(load_vocabulary())
    indices = np.concatenate([table.present, table.denied, table.anatomy])
    assert sorted(indices) == list(range(len(table)))


def test_vocabulary_table_has_every_finding_present_and_denied() -> None:
    table = vocabulary_table(load_vocabulary(), num_clinical=20, num_anatomy=10)
    present = {table.texts[index] for index in table.present}
    denied = {table.texts[index] for index in table.denied}
    assert {finding.term for finding in Finding} <= present
    assert present == denied
    assert (len(table.present), len(table.denied), len(table.anatomy)) == (20, 20, 10)


def test_vocabulary_table_takes_anatomy_its_findings_occur_in() -> None:
    vocabulary = load_vocabulary()
    table = vocabulary_table(vocabulary, num_clinical=20, num_anatomy=10)
    used = {
        place
        for index in table.present
        for place in vocabulary.concepts[table.texts[index]].anatomies
    }
    assert {table.texts[index] for index in table.anatomy} <= used


def test_vocabulary_table_finding_weight_is_given_to_findings_alone() -> None:
    vocabulary = load_vocabulary()
    table = vocabulary_table(vocabulary, finding_weight=3.0)
    for text, weight in zip(table.texts, table.weights, strict=True):
        assert weight == (3.0 if vocabulary.concepts[text].finding else 1.0)


def test_vocabulary_table_fewer_than_the_findings_raises() -> None:
    with pytest.raises(ValueError, match="at least 14"):
        vocabulary_table(load_vocabulary(), num_clinical=13)


def test_revision_changes_with_content_only() -> None:
    rows = [("edema", EntityKind.ABNORMALITY, 2), ("mass", EntityKind.ABNORMALITY, 1)]
    table = EntityTable.from_counts(rows)
    assert table.revision() == EntityTable.from_counts(reversed(rows)).revision()
    assert table.revision() != EntityTable.from_counts(rows[:1]).revision()


def test_long_tail_figures_of_a_known_table() -> None:
    rows = [(f"term {n}", EntityKind.ABNORMALITY, 1) for n in range(9)]
    tail = EntityTable.from_counts([*rows, ("edema", EntityKind.ABNORMALITY, 91)]).long_tail()
    assert (tail.num_entities, tail.num_mentions) == (10, 100)
    assert tail.share_once == pytest.approx(0.9)
    assert tail.share_rare == pytest.approx(0.9)
    assert tail.share_of_top_tenth == pytest.approx(0.91)
    assert tail.gini == pytest.approx(0.81)


def test_long_tails_are_of_each_kind_that_a_table_has() -> None:
    rows = [("edema", EntityKind.ABNORMALITY, 9), ("nodule", EntityKind.ABNORMALITY, 10)]
    tails = long_tails(EntityTable.from_counts([*rows, ("heart", EntityKind.ANATOMY, 4)]))
    assert {kind: tail.num_mentions for kind, tail in tails.items()} == {
        EntityKind.ABNORMALITY: 19,
        EntityKind.ANATOMY: 4,
    }
    assert tails[EntityKind.ABNORMALITY].share_rare == pytest.approx(0.5)


def test_gini_equal_values_is_zero_and_grows_with_inequality() -> None:
    assert gini(np.array([5, 5, 5])) == pytest.approx(0)
    assert gini(np.array([0, 0, 9])) == pytest.approx(2 / 3)
    assert gini(np.array([0, 0])) == 0
