from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.downstream.labelled_images import LabelledImages
from models.downstream.labelled_splits import LabelledSplits, draw_order, drawn_rows

from .label_sets import labelled, splits


@given(seed=st.integers(0, 1000), num_patients=st.integers(2, 60))
@settings(max_examples=30, deadline=None)
def test_draws_are_whole_patients_nested_and_seeded(seed: int, num_patients: int) -> None:
    images = labelled("set", 2 * num_patients, seed)
    order = draw_order(images, seed)
    assert sorted(order) == sorted(set(images.groups))
    assert order == draw_order(images, seed)
    before: set[int] = set()
    for share in (0.01, 0.1, 0.5, 1.0):
        rows = drawn_rows(images, order, share)
        patients = {images.groups[row] for row in rows}
        assert len(rows) == 2 * len(patients)
        assert len(patients) == max(2, int(np.ceil(share * num_patients)))
        assert before <= set(rows.tolist())
        before = set(rows.tolist())
    assert len(before) == len(images.images)


def test_draws_hold_findings_as_often_as_the_whole() -> None:
    images = labelled("set", 1000, 5, prevalence=(0.4, 0.1, 0.03))
    patients_F = np.array(
        [images.labels_NF[np.array(images.groups) == g].max(axis=0) for g in set(images.groups)]
    ).mean(axis=0)
    for seed in range(5):
        rows = drawn_rows(images, draw_order(images, seed), 0.1)
        found = images.labels_NF[rows].reshape(-1, 2, 3).max(axis=1).sum(axis=0)
        np.testing.assert_allclose(found, 50 * patients_F, atol=2.5)


def test_draws_of_another_seed_are_others() -> None:
    images = labelled("set", 200, 0)
    assert draw_order(images, 0)[:10] != draw_order(images, 1)[:10]


def test_splits_that_share_a_patient_or_have_one_class_are_refused() -> None:
    whole = splits()
    with pytest.raises(ValueError, match="train and test of 'set' must share no patient, share 60"):
        LabelledSplits(whole.train, whole.validation, whole.train)
    healthy = replace(whole.test, labels_NF=np.zeros_like(whole.test.labels_NF))
    with pytest.raises(ValueError, match=r"test of 'set' must .* got one class only in 60 images"):
        LabelledSplits(whole.train, whole.validation, healthy)
    other = LabelledImages(
        "set",
        whole.test.images,
        whole.test.labels_NF[:, :2],
        whole.test.groups,
        findings=whole.test.findings[:2],
    )
    with pytest.raises(ValueError, match="must have the same findings, got 3 and 2"):
        LabelledSplits(whole.train, whole.validation, other)
