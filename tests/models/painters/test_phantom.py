"""The phantom painter: deterministic, exact about what it drew, and where."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from models.engines import PaintedImage, PaintRequest, engine_config
from models.images import decode_mask, encode_png, signature, signature_distance, to_uint8
from models.painters.configs import PhantomConfig
from models.painters.phantom.painter import PhantomPainter, drawable_texts
from models.vocabulary.findings import Finding
from storage.records import Entity, EntityKind, EntityStatus, Report, Severity, Sex, View

PAINTER = PhantomConfig(image_size_px=128).open()
TERMS = [finding.term for finding in Finding]
SEVERITIES = list(Severity)


def entity(
    text: str,
    anatomy: str | None = None,
    severity: Severity | None = Severity.MODERATE,
    status: EntityStatus = EntityStatus.PRESENT,
) -> Entity:
    absent = status is EntityStatus.ABSENT
    kind = EntityKind.NON_ABNORMALITY if absent else EntityKind.ABNORMALITY
    return Entity(text, kind, status, anatomy, severity)


def request(
    *entities: Entity, seed: int = 3, view: View = View.PA, sex: Sex | None = None
) -> PaintRequest:
    return PaintRequest(f"s{seed}", seed, "", Report("", ""), entities, view, sex, None)


def paint(
    *entities: Entity, seed: int = 3, view: View = View.PA, sex: Sex | None = None
) -> PaintedImage:
    return PAINTER.paint([request(*entities, seed=seed, view=view, sex=sex)])[0]


@cache
def healthy(seed: int, view: View = View.PA) -> NDArray[np.float32]:
    return np.asarray(paint(seed=seed, view=view).pixels_HW, np.float32)


def masks(image: PaintedImage) -> list[NDArray[np.bool_]]:
    return [decode_mask(mask.png) for mask in image.masks]


def same(first: PaintedImage, second: PaintedImage) -> bool:
    return np.array_equal(first.pixels_HW, second.pixels_HW) and first.masks == second.masks


def test_phantom_same_request_gives_same_bytes() -> None:
    asked = request(entity("pneumonia", "right lower lobe"), entity("pacemaker"))
    first, second = (
        PAINTER.paint([asked])[0],
        PhantomConfig(image_size_px=128).open().paint([asked])[0],
    )
    assert same(first, second)
    assert encode_png(first.pixels_HW, "a") == encode_png(second.pixels_HW, "a")


def test_phantom_result_does_not_depend_on_the_batch() -> None:
    asked = [request(entity(term), seed=n, view=list(View)[n % 2]) for n, term in enumerate(TERMS)]
    together = PAINTER.paint(asked)
    apart = [PAINTER.paint([one])[0] for one in reversed(asked)][::-1]
    assert all(same(a, b) for a, b in zip(together, apart, strict=True))


def test_phantom_order_of_findings_does_not_move_their_masks() -> None:
    first, second = entity("lung nodule", "left upper lobe"), entity("pleural effusion", "right")
    one, other = paint(first, second), paint(second, first)
    assert {m.text: m.png for m in one.masks} == {m.text: m.png for m in other.masks}


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    view=st.sampled_from(View),
    sex=st.sampled_from([None, *Sex]),
    terms=st.lists(st.sampled_from(sorted(drawable_texts())), max_size=4, unique=True),
    anatomy=st.sampled_from([None, "left lung", "right lung base", "lungs", "nowhere known"]),
    severity=st.sampled_from([None, *Severity]),
)
def test_phantom_any_request_gives_a_finite_image_of_the_size(
    seed: int,
    view: View,
    sex: Sex | None,
    terms: list[str],
    anatomy: str | None,
    severity: Severity | None,
) -> None:
    image = paint(*(entity(t, anatomy, severity) for t in terms), seed=seed, view=view, sex=sex)
    assert image.pixels_HW.shape == (128, 128)
    assert image.pixels_HW.dtype == np.float32
    assert np.isfinite(image.pixels_HW).all()
    assert image.pixels_HW.min() >= 0
    assert image.pixels_HW.max() <= 255
    assert [mask.text for mask in image.masks] == terms
    assert all(mask.shape == (128, 128) for mask in masks(image))


def test_phantom_draws_all_14_findings() -> None:
    assert set(TERMS) <= drawable_texts()


@pytest.mark.parametrize("term", TERMS)
def test_phantom_finding_changes_its_mask_much_more_than_the_rest(term: str) -> None:
    inside, outside = [], []
    for seed in range(3):
        image = paint(entity(term, None, Severity.SEVERE), seed=seed)
        (mask,) = masks(image)
        change = np.abs(image.pixels_HW - healthy(seed))
        inside.append(change[mask].mean())
        outside.append(change[~mask].mean())
    assert np.mean(inside) > 2.0
    assert np.mean(inside) > 3 * np.mean(outside)


@pytest.mark.parametrize("term", TERMS)
def test_phantom_mask_grows_with_severity(term: str) -> None:
    areas = np.array(
        [
            [
                masks(paint(entity(term, None, severity), seed=seed))[0].sum()
                for severity in SEVERITIES
            ]
            for seed in range(3)
        ]
    ).sum(axis=0)
    assert areas[0] > 0
    if term == "emphysema":  # its mask is the lungs, which grow a little
        assert areas[0] <= areas[1] <= areas[2]
    else:
        assert areas[0] < areas[1] < areas[2]


SIDED = [
    "atelectasis",
    "consolidation",
    "pleural effusion",
    "lung infiltrate",
    "lung mass",
    "lung nodule",
    "pleural thickening",
    "pneumonia",
    "pneumothorax",
    "calcified granuloma",
    "elevated hemidiaphragm",
]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("term", SIDED)
def test_phantom_mask_lies_on_the_named_side(term: str, side: str) -> None:
    for seed in (1, 4):
        (mask,) = masks(paint(entity(term, f"{side} lung", Severity.MODERATE), seed=seed))
        columns = np.flatnonzero(mask.any(axis=0))
        centre = np.average(np.arange(128), weights=mask.sum(axis=0))
        assert len(columns)
        assert centre > 68 if side == "left" else centre < 60  # patient's left is image right


@pytest.mark.parametrize("anatomy", ["lungs", "bilateral lower lobes", "lung bases"])
def test_phantom_both_sides_named_gives_both(anatomy: str) -> None:
    (mask,) = masks(paint(entity("consolidation", anatomy)))
    assert mask[:, :56].any()
    assert mask[:, 72:].any()


def test_phantom_zones_are_ordered_from_apex_to_base() -> None:
    heights = []
    for zone in ("right lung apex", "right upper lobe", "right middle lobe", "right lung base"):
        seen = [masks(paint(entity("lung nodule", zone), seed=s))[0] for s in range(3)]
        heights.append(np.mean([np.flatnonzero(mask.any(axis=1)).mean() for mask in seen]))
    assert heights == sorted(heights)


def test_phantom_unknown_entity_changes_nothing() -> None:
    image = paint(entity("gallstones in the moon"))
    assert image.masks == ()
    assert np.array_equal(image.pixels_HW, healthy(3))


def test_phantom_absent_finding_is_not_drawn() -> None:
    image = paint(entity("pneumothorax", None, None, EntityStatus.ABSENT))
    assert image.masks == ()
    assert np.array_equal(image.pixels_HW, healthy(3))


def test_phantom_uncertain_finding_is_drawn_like_a_mild_one() -> None:
    uncertain = paint(entity("lung mass", "left lung", Severity.SEVERE, EntityStatus.UNCERTAIN))
    mild = paint(entity("lung mass", "left lung", Severity.MILD))
    assert same(uncertain, mild)


def test_phantom_views_differ_in_projection() -> None:
    def shift(seed: int) -> float:
        return float(np.abs(healthy(seed, View.PA) - healthy(seed, View.AP)).mean())

    assert all(shift(seed) > 3 for seed in range(3))


def test_phantom_heart_is_wider_and_chest_shorter_in_ap() -> None:
    from models.painters.phantom.body import draw_body

    bodies = {
        view: [draw_body(np.random.default_rng(s), view, None, None) for s in range(60)]
        for view in View
    }
    ratio = {v: np.mean([b.cardiothoracic_ratio for b in bodies[v]]) for v in View}
    dome = {v: np.mean([b.right.dome_y for b in bodies[v]]) for v in View}
    scapula = {v: np.mean([b.scapula_in for b in bodies[v]]) for v in View}
    assert ratio[View.AP] > ratio[View.PA] + 0.02
    assert dome[View.AP] < dome[View.PA] - 1
    assert scapula[View.AP] > scapula[View.PA] + 0.3
    assert max(b.cardiothoracic_ratio for v in View for b in bodies[v]) < 0.5


def test_phantom_bodies_are_no_near_duplicates() -> None:
    marks = [signature(healthy(seed)) for seed in range(24)]
    pairs = [signature_distance(a, b) for i, a in enumerate(marks) for b in marks[:i]]
    assert min(pairs) > 30


def test_phantom_size_is_the_config_s_and_content_scales_with_it() -> None:
    small, large = (PhantomConfig(image_size_px=size).open() for size in (64, 256))
    thumb = to_uint8(small.paint([request()])[0].pixels_HW).astype(float)
    full = to_uint8(large.paint([request()])[0].pixels_HW).astype(float)
    shrunk = full.reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert np.corrcoef(thumb.ravel(), shrunk.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("size", [63, 100, 2048])
def test_phantom_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(ValidationError):
        PhantomConfig(image_size_px=size)


def test_phantom_is_found_by_its_kind_and_declares_itself_deterministic() -> None:
    painter = engine_config("painters", {"kind": "phantom", "image_size_px": 64}).open()
    assert isinstance(painter, PhantomPainter)
    assert painter.info.deterministic
    assert painter.info.revision == PhantomConfig().revision()


def test_phantom_cardiomegaly_is_wider_than_half_the_thorax() -> None:
    from models.painters.phantom.body import draw_body
    from models.painters.phantom.placement import place
    from models.painters.phantom.shape import cardiomegaly_shape

    for severity, least in zip(SEVERITIES, (0.52, 0.58, 0.66), strict=True):
        body = draw_body(np.random.default_rng(1), View.PA, None, None)
        enlarged = cardiomegaly_shape(body, place(entity("cardiomegaly", None, severity), 1, True))
        width = enlarged.heart_left + enlarged.heart_right_edge
        assert width / (2 * enlarged.half_width) >= least


@pytest.mark.parametrize("term", sorted(drawable_texts()))
def test_phantom_every_drawing_leaves_a_mask_and_a_mark(term: str) -> None:
    images = [paint(entity(term, None, Severity.SEVERE), seed=seed) for seed in (1, 2)]
    assert all(masks(image)[0].any() for image in images)
    assert any(
        not np.array_equal(i.pixels_HW, healthy(s)) for i, s in zip(images, (1, 2), strict=True)
    )
