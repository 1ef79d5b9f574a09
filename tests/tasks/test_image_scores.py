"""Scores of single images: what is kept is what the figures were made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.downstream.few_labels import LinearProbeConfig
from models.downstream.finding_scores import macro_auroc
from models.downstream.linear_probe import evaluate_linear_probe
from models.downstream.scored_images import scored_images
from storage.errors import DamagedObject, ObjectMissing
from storage.objects import open_store
from tasks.image_scores import decode_scores, encode_scores, put_scores, read_scores
from tests.models.downstream.label_sets import labelled, splits
from tests.models.downstream.test_few_labels import RowMeans


def test_scores_are_read_as_they_were_put(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    images = labelled("set", 6, 1)
    scores_NF = np.random.default_rng(0).random(images.labels_NF.shape)
    scores_NF[:, 1] = np.nan
    views = ("PA", "AP", "PA", "PA", "AP", "unknown")
    put = [
        scored_images(replace(images, views=views), scores_NF, "1% of labels"),
        scored_images(replace(images, views=views), -scores_NF, "10% of labels"),
    ]
    put_scores(store, "a-run", "linear_probe", "nih", put)
    found = read_scores(store, "a-run", "linear_probe", "nih")
    assert [one.at for one in found] == ["1% of labels", "10% of labels"]
    for one, other in zip(found, put, strict=True):
        assert (one.findings, one.patients, one.views) == (images.findings, images.groups, views)
        np.testing.assert_array_equal(one.labels_NF, images.labels_NF)
        np.testing.assert_array_equal(one.scores_NF, other.scores_NF)


def test_scores_of_images_without_views_have_none() -> None:
    images = labelled("set", 3, 1)
    data = encode_scores([scored_images(images, np.zeros(images.labels_NF.shape))])
    (found,) = decode_scores(data, "here")
    assert (found.at, found.views) == ("", ())


def test_figures_of_a_probe_follow_from_its_scores() -> None:
    result = evaluate_linear_probe(
        RowMeans(), splits(), LinearProbeConfig(shares=(0.02, 1.0), num_resamples=100)
    )
    untaught = 0
    for share, scored in zip(result.shares, result.scored, strict=True):
        told = macro_auroc(scored.scores_NF, scored.labels_NF)
        assert told == pytest.approx(share.classified.macro_auroc)
        untaught += int(np.isnan(scored.scores_NF).all(axis=0).sum())
    assert untaught, "a finding that the smallest draw lacks has no scores"


def test_scores_that_are_none_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DamagedObject, match="here: expected scores of images"):
        decode_scores(b"not arrow", "here")
    with pytest.raises(ObjectMissing):
        read_scores(open_store(str(tmp_path)), "absent", "zero_shot", "nih")
