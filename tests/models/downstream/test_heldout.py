from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from models.downstream.heldout import heldout_phantoms
from models.downstream.labelled_images import LabelledImages
from models.engines import EngineInfo, PaintedImage, PaintRequest
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding
from storage.records import EntityStatus


class RecordingPainter:
    info = EngineInfo("recording", "1", True)
    max_batch_size = 7

    def __init__(self) -> None:
        self.requests: list[PaintRequest] = []
        self.batches: list[int] = []

    def paint(self, requests: Sequence[PaintRequest]) -> list[PaintedImage]:
        self.requests += requests
        self.batches.append(len(requests))
        return [PaintedImage(np.full((16, 16), r.seed % 256, np.uint8), (), 0.0) for r in requests]

    def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture(scope="module")
def painter() -> RecordingPainter:
    return RecordingPainter()


@pytest.fixture(scope="module")
def labelled(painter: RecordingPainter) -> LabelledImages:
    return heldout_phantoms(painter, 420, 3, load_vocabulary())


def test_heldout_labels_are_what_was_asked_of_the_painter(
    painter: RecordingPainter, labelled: LabelledImages
) -> None:
    for request, labels in zip(painter.requests, labelled.labels_NF, strict=True):
        asked = {entity.text for entity in request.entities}
        assert asked == {f.term for f, label in zip(Finding, labels, strict=True) if label}
        assert all(entity.status is EntityStatus.PRESENT for entity in request.entities)
    assert [int(image[0, 0]) for image in labelled.images] == [
        r.seed % 256 for r in painter.requests
    ]
    assert max(painter.batches) <= painter.max_batch_size


def test_heldout_findings_are_balanced_and_sets_are_small(labelled: LabelledImages) -> None:
    labels = labelled.labels_NF
    counts = labels.sum(axis=0)
    assert counts.min() >= 0.8 * counts.mean()
    assert counts.max() <= 1.2 * counts.mean()
    assert set(labels.sum(axis=1).tolist()) == {0, 1, 2, 3}


def test_heldout_findings_do_not_contradict_and_sit_where_they_occur(
    painter: RecordingPainter, labelled: LabelledImages
) -> None:
    assert len(painter.requests) == len(labelled.images)
    vocabulary = load_vocabulary()
    for request in painter.requests:
        for entity in request.entities:
            places = vocabulary.concepts[entity.text].anatomies
            assert (entity.anatomy in places) if places else (entity.anatomy is None)
        for one, two in combinations(request.entities, 2):
            assert two.text not in vocabulary.concepts[one.text].excludes


def test_heldout_same_seed_same_requests_other_seed_others(
    painter: RecordingPainter, labelled: LabelledImages
) -> None:
    assert len(painter.requests) == len(labelled.images)
    again, other = RecordingPainter(), RecordingPainter()
    heldout_phantoms(again, 420, 3, load_vocabulary())
    heldout_phantoms(other, 420, 4, load_vocabulary())
    assert again.requests == painter.requests
    assert not {r.seed for r in other.requests} & {r.seed for r in painter.requests}
