import pytest

from models.sampling.entity_table import EntityTable, vocabulary_table
from models.sampling.feasibility import check_feasible, smallest_max_uses
from models.sampling.rules import SamplingRules, SamplingStrategy
from models.vocabulary.concepts import load_vocabulary
from storage.records import EntityKind


def small_table() -> EntityTable:
    return vocabulary_table(load_vocabulary(), num_clinical=20, num_anatomy=10)


def test_check_feasible_cap_too_low_names_the_smallest_that_works() -> None:
    rules = SamplingRules(clinical_per_report=4, anatomy_per_report=2, max_uses=15)
    with pytest.raises(ValueError, match=r"need max_uses of at least 20 .* got 15; raise it to 20"):
        check_feasible(small_table(), rules, 100)
    check_feasible(small_table(), rules.model_copy(update={"max_uses": 20}), 100)


def test_smallest_max_uses_counts_reserves() -> None:
    rules = SamplingRules(clinical_per_report=4, anatomy_per_report=2)
    assert smallest_max_uses(small_table(), rules, 100) == 20  # 200 anatomy places of 10 terms
    assert smallest_max_uses(small_table(), rules, 150) == 30


def test_smallest_max_uses_all_normal_reports_need_the_denied_pool() -> None:
    rules = SamplingRules(clinical_per_report=4, anatomy_per_report=0, normal_share=1.0)
    assert smallest_max_uses(small_table(), rules, 100) == 20  # 400 places of 20 denied terms


def test_check_feasible_report_larger_than_the_table_raises() -> None:
    with pytest.raises(ValueError, match="lower anatomy_per_report"):
        check_feasible(small_table(), SamplingRules(anatomy_per_report=11), 10)
    with pytest.raises(ValueError, match="lower clinical_per_report"):
        check_feasible(small_table(), SamplingRules(clinical_per_report=50), 10)


def test_check_feasible_normal_reports_without_denied_entities_raises() -> None:
    table = EntityTable.from_counts(
        (f"cyst {letter}", EntityKind.ABNORMALITY, 1) for letter in "abcdefghij"
    )
    rules = SamplingRules(clinical_per_report=2, anatomy_per_report=0, normal_share=0.5)
    with pytest.raises(ValueError, match="set normal_share to 0"):
        check_feasible(table, rules, 5)


def test_check_feasible_bounds_that_no_cap_can_meet_raises() -> None:
    table = EntityTable.from_counts(
        [
            *((f"cyst {letter}", EntityKind.ABNORMALITY, 1) for letter in "abcdefghij"),
            ("edema", EntityKind.NON_ABNORMALITY, 1),
        ]
    )
    rules = SamplingRules(
        clinical_per_report=2, anatomy_per_report=0, max_present_per_report=1, max_uses=1000
    )
    with pytest.raises(ValueError, match="with any max_uses"):
        check_feasible(table, rules, 100)


def test_check_feasible_random_strategy_ignores_the_cap() -> None:
    rules = SamplingRules(
        strategy=SamplingStrategy.RANDOM, clinical_per_report=4, anatomy_per_report=2, max_uses=1
    )
    check_feasible(small_table(), rules, 100)


def test_check_feasible_no_candidates_raises() -> None:
    with pytest.raises(ValueError, match="at least 1 candidate"):
        check_feasible(small_table(), SamplingRules(), 0)
