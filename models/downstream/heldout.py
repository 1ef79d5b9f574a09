"""Held-out phantoms: images painted for evaluation alone, whose truth is what was asked for."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.downstream.labelled_images import LabelledImages
from models.downstream.masked_images import MaskedImages
from models.engines import PaintedImage, PaintRequest, ReportPainter
from models.images import decode_mask, to_uint8
from models.vocabulary.concepts import Concept, Vocabulary
from models.vocabulary.findings import Finding
from storage.records import Entity, EntityStatus, Report, Severity, Sex, View

T = TypeVar("T")

MAX_FINDINGS = 3
_NO_REPORT = Report(findings="", impression="")  # the painter is told by entities, not by words


def heldout_phantoms(
    painter: ReportPainter,
    num_images: int,
    seed: int,
    vocabulary: Vocabulary,
    name: str = "held-out phantoms",
) -> LabelledImages:
    """Paint images with 0 to 3 findings each, every finding equally often.

    Their requests come from their own stream (seed and purpose), never from a dataset's plan, so
    that none of them was trained on.

    Args:
        painter: One that places findings by entity, so that the request is the truth.
        num_images: How many; a finding is then in about num_images * 1.5 / 14 of them.
        seed: Of the requests.
        vocabulary: Where findings occur and what excludes what.
        name: What results call the set.
    """
    requests = _requests(num_images, seed, vocabulary)
    asked = [{entity.text for entity in request.entities} for request in requests]
    labels_NF = np.array(
        [[finding.term in texts for finding in Finding] for texts in asked], dtype=np.int8
    ).reshape(num_images, len(Finding))
    return LabelledImages(
        name=name,
        images=[to_uint8(painted.pixels_HW) for painted in _painted(painter, requests)],
        labels_NF=labels_NF,
        groups=tuple(request.sample_id for request in requests),
        views=tuple(request.view.value for request in requests),
    )


def masked_phantoms(
    painter: ReportPainter, num_images: int, seed: int, vocabulary: Vocabulary, name: str
) -> MaskedImages:
    """Paint the images of `heldout_phantoms`, and keep where each finding is.

    Args:
        painter: One that knows the masks of what it paints.
        num_images: How many.
        seed: Of the requests.
        vocabulary: Where findings occur and what excludes what.
        name: What results call the set.

    Raises:
        ValueError: If the painter gives no mask for a finding it was asked for.
    """
    requests = _requests(num_images, seed, vocabulary)
    painted = list(_painted(painter, requests))
    return MaskedImages(
        name=name,
        images=[to_uint8(image.pixels_HW) for image in painted],
        masks=[_masks(*one) for one in zip(requests, painted, strict=True)],
        groups=tuple(request.sample_id for request in requests),
    )


def _masks(request: PaintRequest, image: PaintedImage) -> dict[Finding, NDArray[np.bool_]]:
    masks = {mask.text: decode_mask(mask.png) for mask in image.masks}
    lacking = [entity.text for entity in request.entities if entity.text not in masks]
    if lacking:
        raise ValueError(
            f"the painter must give a mask for {lacking[0]!r}, which it was asked for, got masks "
            f"for {sorted(masks)!r}; name one that knows where it paints (phantom)"
        )
    return {finding: masks[finding.term] for finding in Finding if finding.term in masks}


def _requests(num_images: int, seed: int, vocabulary: Vocabulary) -> list[PaintRequest]:
    random = np.random.default_rng([seed, *b"held-out phantoms"])
    drawn = list(_draw_findings(num_images, random, vocabulary))
    return [_request(findings, random, seed, number) for number, findings in enumerate(drawn)]


def _draw_findings(
    num_images: int, random: np.random.Generator, vocabulary: Vocabulary
) -> Iterator[list[Concept]]:
    """Sets of 0 to 3 findings that do not exclude or imply each other, from shuffled decks."""
    deck: list[Finding] = []
    for _ in range(num_images):
        chosen: list[Concept] = []
        for _ in range(int(random.integers(MAX_FINDINGS + 1))):
            if len(deck) < len(Finding):
                deck += [Finding(value) for value in random.permutation(list(Finding))]
            fits = (f for f in deck if _compatible(vocabulary.of_finding(f), chosen))
            finding = next(fits, None)
            if finding is not None:
                deck.remove(finding)
                chosen.append(vocabulary.of_finding(finding))
        yield chosen


def _compatible(concept: Concept, chosen: Sequence[Concept]) -> bool:
    return all(
        other is not concept
        and other.text not in concept.excludes
        and other.text not in concept.implies
        and concept.text not in other.implies
        for other in chosen
    )


def _request(
    concepts: Sequence[Concept], random: np.random.Generator, seed: int, number: int
) -> PaintRequest:
    return PaintRequest(
        sample_id=hashlib.sha256(f"held-out phantom:{seed}:{number}".encode()).hexdigest()[:32],
        seed=int(random.integers(2**63 - 1)),
        prompt="",
        report=_NO_REPORT,
        entities=tuple(_entity(concept, random) for concept in concepts),
        view=_one_of(list(View), random),
        sex=_one_of(list(Sex), random),
        age_years=int(random.integers(20, 90)),
    )


def _entity(concept: Concept, random: np.random.Generator) -> Entity:
    return Entity(
        text=concept.text,
        kind=concept.kind,
        status=EntityStatus.PRESENT,
        anatomy=_one_of(concept.anatomies, random) if concept.anatomies else None,
        severity=_one_of(list(Severity), random) if concept.gradable else None,
    )


def _one_of(choices: Sequence[T], random: np.random.Generator) -> T:
    return choices[int(random.integers(len(choices)))]


def _painted(painter: ReportPainter, requests: Sequence[PaintRequest]) -> Iterator[PaintedImage]:
    for start in range(0, len(requests), painter.max_batch_size):
        yield from painter.paint(requests[start : start + painter.max_batch_size])
