from collections import Counter
from dataclasses import asdict
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.sampling.entity_table import vocabulary_table
from models.sampling.patients import PatientMix
from models.sampling.rules import SamplingRules
from models.sampling.sampler import EntityDraw, draw
from models.sampling.samples import PlannedSamples, split_of
from models.vocabulary.concepts import load_vocabulary
from storage.identity import sample_id
from storage.records import Entity, Sex, Split, View
from storage.schemas import arrow_field

ENTITIES = arrow_field("entities", tuple[Entity, ...]).type
Row = dict[str, Any]


@cache
def small_draw(clinical: int = 3, anatomy: int = 1) -> EntityDraw:
    vocabulary = load_vocabulary()
    rules = SamplingRules(
        clinical_per_report=clinical,
        anatomy_per_report=anatomy,
        max_uses=200,
        normal_share=0.2,
        uncertain_share=0.3,
        severity_share=0.5,
    )
    return draw(vocabulary_table(vocabulary), rules, 2_000, 1, vocabulary)


def columns(
    indices: range,
    drawn: EntityDraw | None = None,
    fingerprint: str = "a",
    patients: PatientMix | None = None,
) -> list[Row]:
    planned = PlannedSamples(drawn or small_draw(), patients or PatientMix())
    ids = [sample_id(fingerprint, index) for index in indices]
    rows: list[Row] = pa.table(planned.columns(indices, ids, ENTITIES)).to_pylist()
    return rows


def planned(fingerprint: str = "a", patients: PatientMix | None = None) -> list[Row]:
    return columns(range(2_000), None, fingerprint, patients)


@given(st.sampled_from([(3, 1), (1, 0), (4, 3)]), st.integers(0, 1_999), st.integers(1, 60))
def test_columns_say_what_the_drawn_entities_say_one_by_one(
    shape: tuple[int, int], first: int, num: int
) -> None:
    drawn, indices = small_draw(*shape), range(first, min(first + num, 2_000))
    found = [row["entities_requested"] for row in columns(indices, drawn)]
    assert found == [[asdict(entity) for entity in drawn.entities(index)] for index in indices]


def test_columns_of_a_range_are_those_of_the_whole() -> None:
    assert columns(range(700, 900)) == planned()[700:900]


def test_columns_same_plan_same_samples_other_plan_other_patients() -> None:
    assert planned() == planned()
    described = [[(s["view"], s["sex"], s["age_years"]) for s in planned(name)] for name in "ab"]
    assert described[0] != described[1]


def test_columns_shares_are_as_asked() -> None:
    patients = PatientMix(ap_share=0.25, female_share=0.6, min_age_years=30, max_age_years=40)
    samples = planned(patients=patients)
    views = Counter(sample["view"] for sample in samples)
    assert views[View.AP] / 2_000 == pytest.approx(0.25, abs=0.03)
    assert Counter(s["sex"] for s in samples)[Sex.FEMALE] / 2_000 == pytest.approx(0.6, abs=0.03)
    assert {sample["age_years"] for sample in samples} == set(range(30, 41))
    splits = Counter(sample["split"] for sample in samples)
    assert splits[Split.TRAIN] / 2_000 == pytest.approx(0.7, abs=0.03)
    assert splits[Split.TEST] / 2_000 == pytest.approx(0.15, abs=0.03)


def test_planned_samples_fractions_that_do_not_add_up_raise() -> None:
    with pytest.raises(ValueError, match="add to 1"):
        PlannedSamples(small_draw(), PatientMix(), (0.5, 0.2, 0.2))


def test_split_of_is_independent_of_view() -> None:
    samples = planned()
    test = [sample for sample in samples if sample["split"] == Split.TEST]
    share = sum(sample["view"] == View.AP for sample in test) / len(test)
    assert share == pytest.approx(0.4, abs=0.08)
    assert split_of(sample_id("a", 0), (0, 0, 1)) is Split.TEST


def test_patient_mix_ages_in_wrong_order_raise() -> None:
    with pytest.raises(ValidationError, match="max_age_years must be at least"):
        PatientMix(min_age_years=50, max_age_years=40)
