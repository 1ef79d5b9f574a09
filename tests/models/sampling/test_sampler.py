"""The promises of a draw, each checked on the records it gives, not on the arrays inside."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.sampling.compatibility import Compatibility
from models.sampling.entity_table import EntityTable, vocabulary_table
from models.sampling.feasibility import smallest_max_uses
from models.sampling.realised import realised_distribution
from models.sampling.rules import SamplingRules, SamplingStrategy
from models.sampling.sampler import EntityDraw, draw
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding
from storage.records import Entity, EntityKind, EntityStatus

VOCABULARY = load_vocabulary()
DEMO = SamplingRules(
    clinical_per_report=5,
    anatomy_per_report=3,
    max_uses=400,
    normal_share=0.3,
    present_share=0.6,
    max_present_per_report=4,
    uncertain_share=0.1,
    severity_share=0.5,
)


@cache
def demo_draw() -> EntityDraw:
    table = vocabulary_table(VOCABULARY, num_clinical=45, num_anatomy=30, finding_weight=4.0)
    return draw(table, DEMO, 1_200, 7, VOCABULARY)


def present(entities: tuple[Entity, ...]) -> list[Entity]:
    return [e for e in entities if e.kind.is_clinical and e.status is not EntityStatus.ABSENT]


def contradictions(entities: tuple[Entity, ...]) -> list[tuple[str, str]]:
    """Slow and plain: what the vocabulary says of each pair."""
    there = {entity.text for entity in present(entities)}
    denied = {entity.text for entity in entities if entity.status is EntityStatus.ABSENT}
    return [
        (text, other)
        for text in there
        for concept in [VOCABULARY.concepts[text]]
        for other in [*(there & set(concept.excludes)), *(denied & {text, *concept.implies})]
    ]


@settings(max_examples=40, deadline=None)
@given(
    num_clinical=st.integers(16, 60),
    clinical_per_report=st.integers(1, 7),
    anatomy_per_report=st.integers(0, 4),
    num_candidates=st.integers(1, 150),
    normal_share=st.sampled_from([0.0, 0.3, 1.0]),
    max_present=st.sampled_from([None, 2]),
    slack=st.sampled_from([1.1, 2.0]),
    seed=st.integers(0, 2**32),
)
def test_draw_any_feasible_rules_keep_caps_bounds_and_contradict_nothing(
    num_clinical: int,
    clinical_per_report: int,
    anatomy_per_report: int,
    num_candidates: int,
    normal_share: float,
    max_present: int | None,
    slack: float,
    seed: int,
) -> None:
    table = vocabulary_table(VOCABULARY, num_clinical=num_clinical, num_anatomy=20)
    rules = SamplingRules(
        clinical_per_report=clinical_per_report,
        anatomy_per_report=anatomy_per_report,
        normal_share=normal_share,
        max_present_per_report=max_present,
    )
    needed = smallest_max_uses(table, rules, num_candidates)
    assume(needed is not None)
    assert needed is not None
    rules = rules.model_copy(update={"max_uses": int(np.ceil(needed * slack))})
    drawn = draw(table, rules, num_candidates, seed, VOCABULARY)
    reports = [drawn.entities(index) for index in range(num_candidates)]
    used = Counter(key for entities in reports for key in keys_used(entities))
    assert max(used.values()) <= rules.max_uses
    assert not [pair for entities in reports for pair in contradictions(entities)]
    for entities in reports:
        keys = [entity.key for entity in entities]
        assert len(set(keys)) == len(keys)
        assert sum(entity.kind.is_clinical for entity in entities) == clinical_per_report
        anatomy = [text for text, kind in keys_used(entities) if kind is EntityKind.ANATOMY]
        assert len(set(anatomy)) == len(anatomy) == anatomy_per_report
        assert len(present(entities)) <= rules.most_present
    num_normal = sum(not present(entities) for entities in reports)
    assert num_normal == round(normal_share * num_candidates)


def keys_used(entities: tuple[Entity, ...]) -> list[tuple[str, EntityKind]]:
    """Every entity drawn for a report: an anatomy with a finding in it is one of them."""
    placed = [(e.anatomy, EntityKind.ANATOMY) for e in entities if e.anatomy is not None]
    return [*(entity.key for entity in entities), *placed]


def test_draw_same_arguments_same_result_other_seed_another() -> None:
    table = vocabulary_table(VOCABULARY, num_clinical=45, num_anatomy=30)
    first, second, other = (draw(table, DEMO, 300, seed, VOCABULARY) for seed in (5, 5, 6))
    assert first.digest() == second.digest()
    assert [first.entities(i) for i in range(300)] == [second.entities(i) for i in range(300)]
    assert first.digest() != other.digest()


def test_draw_findings_are_placed_only_where_they_occur() -> None:
    drawn = demo_draw()
    placed = [
        entity
        for index in range(len(drawn))
        for entity in drawn.entities(index)
        if entity.anatomy is not None
    ]
    assert len(placed) > 500
    for entity in placed:
        assert entity.anatomy in VOCABULARY.concepts[entity.text].anatomies


def test_draw_demo_rules_give_every_finding_in_six_to_fifteen_percent() -> None:
    drawn = demo_draw()
    counts = Counter(
        entity.text for index in range(len(drawn)) for entity in present(drawn.entities(index))
    )
    for finding in Finding:
        assert 0.06 <= counts[finding.term] / len(drawn) <= 0.15, finding


def test_draw_shares_of_uncertain_and_graded_findings_are_as_asked() -> None:
    drawn = demo_draw()
    found = [e for index in range(len(drawn)) for e in present(drawn.entities(index))]
    uncertain = [entity for entity in found if entity.status is EntityStatus.UNCERTAIN]
    assert len(uncertain) / len(found) == pytest.approx(0.1, abs=0.03)
    assert all(entity.severity is None for entity in uncertain)
    certain = [e for e in found if e.status is EntityStatus.PRESENT]
    gradable = [e for e in certain if VOCABULARY.concepts[e.text].gradable]
    graded = [entity for entity in found if entity.severity is not None]
    assert all(VOCABULARY.concepts[entity.text].gradable for entity in graded)
    assert len(graded) / len(gradable) == pytest.approx(0.5, abs=0.05)
    assert len({entity.severity for entity in graded}) == 3


def test_draw_balanced_is_more_even_than_random() -> None:
    table = vocabulary_table(VOCABULARY)
    rules = SamplingRules(clinical_per_report=5, anatomy_per_report=2, max_uses=60)
    balanced = draw(table, rules, 500, 1, VOCABULARY)
    ablation = rules.model_copy(update={"strategy": SamplingStrategy.RANDOM})
    random = draw(table, ablation, 500, 1, VOCABULARY)
    evenness = [realised_distribution(d).clinical.evenness for d in (balanced, random)]
    assert evenness[0] > 0.97
    assert evenness[1] < 0.95
    assert realised_distribution(random).divergence_bits < 0.1
    assert random.uses().max() > rules.max_uses


def test_draw_every_use_taken_leaves_nothing_over_its_cap() -> None:
    table = EntityTable.from_counts(
        (f"cyst number {number}", EntityKind.ABNORMALITY, 1) for number in range(1_000)
    )
    rules = SamplingRules(clinical_per_report=5, anatomy_per_report=0, max_uses=10)
    drawn = draw(table, rules, 2_000, 1, VOCABULARY)
    assert (drawn.uses() == 10).all()
    assert all(len(set(row)) == 5 for row in drawn.clinical_NK.tolist())


def test_draw_free_strings_contradict_nothing() -> None:
    words = ("small", "large", "left", "right", "bilateral")
    terms = [f"{word} {thing}" for word in words for thing in ("effusion", "cyst", "opacity")]
    rows = [
        (text, kind, 1)
        for text in [*terms, "effusion", "cyst", "opacity"]
        for kind in (EntityKind.ABNORMALITY, EntityKind.NON_ABNORMALITY)
    ]
    table = EntityTable.from_counts(rows)
    rules = SamplingRules(clinical_per_report=3, anatomy_per_report=0, max_uses=50)
    drawn = draw(table, rules, 200, 1, VOCABULARY)
    for index in range(200):
        entities = drawn.entities(index)
        there = [set(entity.text.split()) for entity in present(entities)]
        denied = [set(e.text.split()) for e in entities if e.status is EntityStatus.ABSENT]
        assert not any(less <= more for less in denied for more in there)


def test_draw_infeasible_cap_raises_before_drawing() -> None:
    with pytest.raises(ValueError, match="need max_uses of at least"):
        draw(vocabulary_table(VOCABULARY), SamplingRules(max_uses=1), 1_000, 1, VOCABULARY)


def test_draw_only_contradictory_entities_raises_one_clear_line() -> None:
    table = EntityTable.from_counts(
        (text, EntityKind.ABNORMALITY, 1) for text in ("hyperinflation", "low lung volumes")
    )
    rules = SamplingRules(clinical_per_report=2, anatomy_per_report=0, max_uses=50)
    with pytest.raises(ValueError, match="without contradiction") as caught:
        draw(table, rules, 2, 1, VOCABULARY)
    assert "\n" not in str(caught.value)


def test_draw_table_is_checked_by_compatibility_of_its_own() -> None:
    drawn = demo_draw()
    compatibility = Compatibility(drawn.table, VOCABULARY)
    row = drawn.clinical_NK[0]
    assert compatibility.conflicts(row, row).all()
