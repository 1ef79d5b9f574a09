"""Anatomy words lead to the right side and zone; drawings speak the vocabulary's words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.painters.phantom.body import draw_body
from models.painters.phantom.catalogue import DRAWINGS
from models.painters.phantom.placement import LEFT, RIGHT, Placed, Zone, place
from models.vocabulary.concepts import load_vocabulary
from storage.records import Entity, EntityKind, EntityStatus, Severity, View

PLACES = [concept.text for concept in load_vocabulary().anatomies()]


def placed(
    anatomy: str | None,
    severity: Severity | None = None,
    status: EntityStatus = EntityStatus.PRESENT,
    seed: int = 0,
    usually_both: bool = False,
) -> Placed:
    entity = Entity("lung nodule", EntityKind.ABNORMALITY, status, anatomy, severity)
    return place(entity, seed, usually_both)


@pytest.mark.parametrize(
    ("anatomy", "sides", "zone"),
    [
        ("right upper lobe", (RIGHT,), Zone.UPPER),
        ("left lower lobe", (LEFT,), Zone.LOWER),
        ("right middle lobe", (RIGHT,), Zone.MIDDLE),
        ("middle lobe", (RIGHT,), Zone.MIDDLE),
        ("lingula", (LEFT,), Zone.LINGULA),
        ("retrocardiac region", (LEFT,), Zone.RETROCARDIAC),
        ("right costophrenic angle", (RIGHT,), Zone.ANGLE),
        ("lung apices", (RIGHT, LEFT), Zone.APEX),
        ("left lung base", (LEFT,), Zone.BASE),
        ("bilateral lungs", (RIGHT, LEFT), None),
        ("left pleural space", (LEFT,), None),
        ("perihilar regions", (RIGHT, LEFT), Zone.PERIHILAR),
        ("mid lung zones", (RIGHT, LEFT), Zone.MIDDLE),
    ],
)
def test_place_reads_side_and_zone(anatomy: str, sides: tuple[int, ...], zone: Zone | None) -> None:
    result = placed(anatomy)
    assert result.sides == sides
    assert result.zone == zone


@pytest.mark.parametrize("anatomy", [p for p in PLACES if p.split()[0] in ("left", "right")])
def test_place_every_sided_term_of_the_vocabulary_keeps_its_side(anatomy: str) -> None:
    assert placed(anatomy).sides == ((LEFT,) if anatomy.startswith("left") else (RIGHT,))


def test_place_unnamed_side_is_drawn_by_the_seed() -> None:
    drawn = {placed(None, seed=seed).sides for seed in range(40)}
    assert drawn == {(LEFT,), (RIGHT,)}
    assert placed(None, usually_both=True).sides == (RIGHT, LEFT)


@given(st.integers(0, 2**63 - 1))
def test_place_extent_follows_severity_and_stays_in_range(seed: int) -> None:
    mild, moderate, severe = (placed(None, severity, seed=seed).extent for severity in Severity)
    assert mild < moderate < severe
    assert mild <= placed(None, None, seed=seed).extent <= severe
    assert placed(None, Severity.SEVERE, EntityStatus.UNCERTAIN, seed).extent == mild


def test_drawings_are_named_by_the_vocabulary() -> None:
    assert [text for text in DRAWINGS if text not in load_vocabulary().concepts] == []


@given(st.integers(0, 2**63 - 1), st.sampled_from(View))
def test_body_right_dome_is_mostly_higher_and_lengths_are_human(seed: int, view: View) -> None:
    body = draw_body(np.random.default_rng(seed), view, None, None)
    assert 4 < body.half_width < 18
    assert 0.3 < body.cardiothoracic_ratio < 0.5
    assert body.left.dome_y - body.right.dome_y > -1.5
