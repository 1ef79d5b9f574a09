import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from scipy.stats import binomtest

from storage.blind_records import BlindStudy, BlindStudyPlan
from storage.blind_results import (
    binomial_p_value,
    study_results,
    unanswered,
    wilson_interval,
)
from storage.blind_study import create_study, item_image, read_study, study_names
from storage.corpora import read_corpus
from storage.errors import DamagedObject, ObjectMissing, PlanMismatch
from storage.ingestion import corpus_reader, ingest
from storage.objects import LocalStore
from storage.readers.folder_columns import FolderColumns
from storage.records import Split
from storage.review_records import Review, ReviewDecision
from storage.reviews import append_reviews, latest_reviews, review_table
from tests.storage.made import LAYOUT, LINEAGE, decided, released_pairs
from tests.storage.readers.made_files import write_csv

PLAN = BlindStudyPlan(corpus="real", num_each=4, image_size_px=32, split="train")


def _real_image(path: Path, seed: int) -> None:
    """Oblong, of another size than the made ones, with words in it."""
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 48), dtype=np.uint8)
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "a real hospital")
    Image.fromarray(pixels).save(path, pnginfo=words)


@pytest.fixture
def study(store: LocalStore, tmp_path: Path) -> BlindStudy:
    """Drawn from twelve made images and from forty patients with two images each."""
    released_pairs(store)
    source = tmp_path / "source"
    source.mkdir()
    lines = [{"image": f"{number}.png", "patient_id": f"p{number // 2}"} for number in range(80)]
    for number in range(80):
        _real_image(source / f"{number}.png", number)
    write_csv(source / "list.csv", lines)
    ingest(store, "real", corpus_reader("folder", source, columns=FolderColumns()))
    return create_study(store, LAYOUT, "first", PLAN)


def _answers(study: BlindStudy, reader: str, num_right: int) -> list[Review]:
    """All items answered, in the reader's order, the first so many of them rightly."""
    truth = {item.item_id: item.synthetic for item in study.items}
    said = [
        truth[item_id] is (number < num_right)
        for number, item_id in enumerate(study.order_of(reader))
    ]
    return [
        decided(item_id, reader, ReviewDecision.SYNTHETIC if made else ReviewDecision.REAL)
        for item_id, made in zip(study.order_of(reader), said, strict=True)
    ]


def test_create_study_draws_as_many_of_each_one_a_patient_and_only_once(
    store: LocalStore, study: BlindStudy
) -> None:
    real = [item.source_id for item in study.items if not item.synthetic]
    made = [item.source_id for item in study.items if item.synthetic]
    assert (len(set(real)), len(set(made))) == (4, 4)
    images = {image.image_id: image for image in read_corpus(store, "real").images()}
    assert len({images[one].patient_id for one in real}) == 4
    assert {images[one].split for one in real} == {Split.TRAIN}
    assert study.restricted, "the made images derive from restricted data"
    assert create_study(store, LAYOUT, "first", PLAN) == study
    again = create_study(store, LAYOUT, "second", PLAN)
    assert {i.source_id for i in again.items} == {i.source_id for i in study.items}
    assert not {i.item_id for i in again.items} & {i.item_id for i in study.items}
    assert study_names(store, LAYOUT) == ["first", "second"]
    with pytest.raises(PlanMismatch, match="seed: was 0 / is 1; choose another name"):
        create_study(store, LAYOUT, "first", PLAN.model_copy(update={"seed": 1}))


def test_order_is_fixed_for_a_reader_and_differs_between_readers(study: BlindStudy) -> None:
    ids = {item.item_id for item in study.items}
    orders = [study.order_of(name) for name in ("ann", "ann", "bob")]
    assert orders[0] == orders[1] != orders[2]
    assert all(set(order) == ids for order in orders)


def test_item_images_are_told_apart_by_nothing_but_their_pixels(
    store: LocalStore, study: BlindStudy
) -> None:
    for item in study.items:
        png = item_image(store, study, item.item_id)
        with Image.open(io.BytesIO(png)) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (32, 32))
            assert image.info == {}
        chunks = [png[at : at + 4] for at in (12, 37)]
        assert chunks == [b"IHDR", b"IDAT"]


def test_item_image_of_another_study_or_damaged_is_refused(
    store: LocalStore, study: BlindStudy
) -> None:
    with pytest.raises(ObjectMissing, match="study 'first' has no item 'x'"):
        item_image(store, study, "x")
    with pytest.raises(ObjectMissing, match=r"no blind study 'x' .* it has: first"):
        read_study(store, LAYOUT, "x")
    store.put(LAYOUT.study("broken"), b'{"plan": {"corpus": "real"}}')
    with pytest.raises(DamagedObject, match="expected a blind study"):
        read_study(store, LAYOUT, "broken")


@pytest.mark.parametrize("changes", [{"num_each": 13}, {"image_size_px": 49}])
def test_create_study_with_too_few_images_says_so(
    store: LocalStore, study: BlindStudy, changes: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match=r"needs as many .*lower num_each or image_size_px"):
        create_study(store, LAYOUT, "larger", PLAN.model_copy(update=changes))
    assert study_names(store, LAYOUT) == ["first"]


def test_results_are_of_who_finished_and_the_first_answer_counts(
    store: LocalStore, study: BlindStudy
) -> None:
    table = review_table(store, LAYOUT, LINEAGE)
    ann, bob, eve = (
        _answers(study, name, right) for name, right in (("ann", 8), ("bob", 5), ("eve", 8))
    )
    append_reviews(table, ann[:5])
    early = study_results(study, latest_reviews(store, LAYOUT))
    assert (dict(early.readers), early.pooled, early.num_answered) == ({}, None, {"ann": 5})
    assert unanswered(study, "ann", latest_reviews(store, LAYOUT)) == study.order_of("ann")[5:]
    append_reviews(table, [*ann[5:], *bob, *eve[:7]])
    wrong_again = [replace(one, decision_id=f"{n}") for n, one in enumerate(bob)]
    better = [
        replace(one, decision=ReviewDecision.REAL)
        if one.decision is ReviewDecision.SYNTHETIC
        else replace(one, decision=ReviewDecision.SYNTHETIC)
        for one in wrong_again
    ]
    append_reviews(table, better)
    found = study_results(study, latest_reviews(store, LAYOUT))
    assert set(found.readers) == {"ann", "bob"}
    assert found.num_answered == {"ann": 8, "bob": 8, "eve": 7}
    of_ann, of_bob = found.readers["ann"], found.readers["bob"]
    assert [of_ann.accuracy.count, of_bob.accuracy.count] == [8, 5]
    assert (of_ann.sensitivity.value, of_ann.specificity.value) == (1.0, 1.0)
    assert of_bob.sensitivity.count + of_bob.specificity.count == 5
    assert found.pooled is not None
    assert (found.pooled.accuracy.count, found.pooled.accuracy.total) == (13, 16)
    assert found.pooled.p_value == pytest.approx(binomtest(13, 16).pvalue)


@given(total=st.integers(1, 400), data=st.data())
def test_interval_and_test_are_those_of_scipy(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    expected = binomtest(count, total)
    assert binomial_p_value(count, total) == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.proportion_ci(method="wilson")
    assert wilson_interval(count, total) == pytest.approx((interval.low, interval.high), abs=1e-9)
