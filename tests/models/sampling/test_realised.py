import numpy as np
import pytest

from models.sampling.entity_table import EntityTable, vocabulary_table
from models.sampling.realised import (
    co_occurrence,
    jensen_shannon_bits,
    realised_distribution,
    spread,
)
from models.sampling.rules import SamplingRules
from models.sampling.sampler import EntityDraw, draw
from models.vocabulary.concepts import load_vocabulary
from storage.records import EntityKind


def two_reports() -> EntityDraw:
    """Report 0: a present in x, b denied; report 1: b denied, c denied; both mention x."""
    table = EntityTable(
        texts=("a", "b", "c", "d", "x"),
        kinds=np.array([0, 1, 1, 0, 4], np.int8),
        counts=np.array([1, 1, 1, 5, 1]),
        weights=np.ones(5),
    )
    assert list(EntityKind)[4] is EntityKind.ANATOMY
    return EntityDraw(
        table=table,
        clinical_NK=np.array([[0, 1], [1, 2]], np.int32),
        num_present_N=np.array([1, 0], np.int8),
        anatomy_NM=np.array([[4], [4]], np.int32),
        place_NK=np.array([[0, -1], [-1, -1]], np.int8),
        uncertain_NK=np.zeros((2, 2), bool),
        severity_NK=np.full((2, 2), -1, np.int8),
    )


def test_spread_of_known_uses() -> None:
    even = spread(np.array([4, 4, 4, 4]))
    assert (even.entropy_bits, even.evenness, even.gini) == (2.0, 1.0, 0.0)
    uneven = spread(np.array([2, 1, 1, 0]))
    assert uneven.entropy_bits == pytest.approx(1.5)
    assert (uneven.num_unused, uneven.num_mentions, uneven.max_uses) == (1, 4, 2)
    assert spread(np.array([], np.int64)).entropy_bits == 0


def test_jensen_shannon_bits_equal_is_zero_and_disjoint_is_one() -> None:
    assert jensen_shannon_bits(np.array([1, 3]), np.array([2, 6])) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon_bits(np.array([1, 0]), np.array([0, 4])) == pytest.approx(1)
    assert jensen_shannon_bits(np.array([0, 0]), np.array([0, 4])) == 1


def test_realised_distribution_of_two_known_reports() -> None:
    realised = realised_distribution(two_reports())
    assert (realised.num_reports, realised.normal_share, realised.mean_present) == (2, 0.5, 1)
    assert realised.placed_share == 1
    assert realised.clinical.num_unused == 1
    assert realised.anatomy.max_uses == 2


def test_realised_distribution_other_source_is_matched_by_text_and_kind() -> None:
    source = EntityTable.from_counts(
        [("a", EntityKind.ABNORMALITY, 7), ("z", EntityKind.DISEASE, 9)]
    )
    realised = realised_distribution(two_reports(), source)
    assert realised.clinical_in_source.num_mentions == 7


def test_co_occurrence_counts_reports_with_both() -> None:
    pairs = {(pair.first[0], pair.second[0]): pair for pair in co_occurrence(two_reports())}
    assert pairs["b", "x"].num_reports == 2
    assert pairs["b", "x"].lift == pytest.approx(1)
    assert pairs["b", "a"].num_reports == 1
    assert pairs["a", "c"].num_reports == 0
    assert not any("d" in names for names in pairs)


def test_co_occurrence_contradictions_never_meet() -> None:
    vocabulary = load_vocabulary()
    table = vocabulary_table(vocabulary, num_clinical=20, num_anatomy=10)
    rules = SamplingRules(clinical_per_report=5, anatomy_per_report=1, max_uses=300)
    drawn = draw(table, rules, 600, 2, vocabulary)
    meetings = [pair for pair in co_occurrence(drawn) if pair.first[0] == pair.second[0]]
    assert len(meetings) == 20
    assert all(pair.num_reports == 0 for pair in meetings)
