from collections import Counter
from functools import cache

import pytest
from pydantic import ValidationError

from models.sampling.entity_table import vocabulary_table
from models.sampling.patients import PatientMix
from models.sampling.rules import SamplingRules
from models.sampling.sampler import EntityDraw, draw
from models.sampling.samples import plan_samples, split_of
from models.vocabulary.concepts import load_vocabulary
from storage.identity import sample_id
from storage.records import Sample, Sex, Split, View


@cache
def small_draw() -> EntityDraw:
    vocabulary = load_vocabulary()
    rules = SamplingRules(clinical_per_report=3, anatomy_per_report=1, max_uses=60)
    return draw(vocabulary_table(vocabulary), rules, 2_000, 1, vocabulary)


def planned(fingerprint: str = "a", patients: PatientMix | None = None) -> list[Sample]:
    return list(
        plan_samples(
            small_draw(),
            lambda index: sample_id(fingerprint, index),
            lambda index: index // 16,
            patients or PatientMix(),
        )
    )


def test_plan_samples_ids_units_and_entities_are_those_of_the_index() -> None:
    samples = planned()
    assert [sample.index for sample in samples] == list(range(2_000))
    assert samples[17].unit == 1
    assert samples[17].sample_id == sample_id("a", 17)
    assert samples[17].entities == small_draw().entities(17)


def test_plan_samples_same_plan_same_samples_other_plan_other_patients() -> None:
    assert planned() == planned()
    described = [[(s.view, s.sex, s.age_years) for s in planned(name)] for name in "ab"]
    assert described[0] != described[1]


def test_plan_samples_shares_are_as_asked() -> None:
    patients = PatientMix(ap_share=0.25, female_share=0.6, min_age_years=30, max_age_years=40)
    samples = planned(patients=patients)
    views = Counter(sample.view for sample in samples)
    assert views[View.AP] / 2_000 == pytest.approx(0.25, abs=0.03)
    assert Counter(s.sex for s in samples)[Sex.FEMALE] / 2_000 == pytest.approx(0.6, abs=0.03)
    assert {sample.age_years for sample in samples} == set(range(30, 41))
    splits = Counter(sample.split for sample in samples)
    assert splits[Split.TRAIN] / 2_000 == pytest.approx(0.7, abs=0.03)
    assert splits[Split.TEST] / 2_000 == pytest.approx(0.15, abs=0.03)


def test_plan_samples_fractions_that_do_not_add_up_raise_at_the_call() -> None:
    with pytest.raises(ValueError, match="add to 1"):
        plan_samples(small_draw(), str, int, PatientMix(), (0.5, 0.2, 0.2))


def test_split_of_is_independent_of_view() -> None:
    samples = planned()
    test = [sample for sample in samples if sample.split is Split.TEST]
    share = sum(sample.view is View.AP for sample in test) / len(test)
    assert share == pytest.approx(0.4, abs=0.08)
    assert split_of(samples[0].sample_id, (0, 0, 1)) is Split.TEST


def test_patient_mix_ages_in_wrong_order_raise() -> None:
    with pytest.raises(ValidationError, match="max_age_years must be at least"):
        PatientMix(min_age_years=50, max_age_years=40)
