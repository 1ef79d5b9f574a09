"""Findings that change the shape of the body: heart, aorta, spine, hila, diaphragm, aeration."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from models.painters.phantom.airspace import lost_volume
from models.painters.phantom.anatomy import Scene
from models.painters.phantom.body import Body, Side
from models.painters.phantom.canvas import Mask
from models.painters.phantom.mediastinum import aorta
from models.painters.phantom.placement import LEFT, Placed


def change_sides(body: Body, placed: Placed, change: Callable[[Side], Side]) -> Body:
    """The body with the affected sides changed."""
    for sign in placed.sides:
        if sign == LEFT:
            body = replace(body, left=change(body.left))
        else:
            body = replace(body, right=change(body.right))
    return body


def cardiomegaly_shape(body: Body, placed: Placed) -> Body:
    """Cardiothoracic ratio 0.54 mild to 0.68 severe, above 0.5 by definition."""
    ratio = 0.46 + 0.22 * placed.extent
    return replace(
        body,
        cardiothoracic_ratio=max(ratio, 0.52, body.cardiothoracic_ratio + 0.03),
        heart_bulge=min(body.heart_bulge + 0.5, 1.3),
    )


def heart_mask(scene: Scene, placed: Placed) -> Mask:
    """The heart's shadow."""
    del placed
    return scene.heart_HW > 0.4


def hyperinflation_shape(body: Body, placed: Placed) -> Body:
    """Low, flat diaphragms."""

    def lower(side: Side) -> Side:
        return replace(
            side,
            dome_y=side.dome_y + 2.4 * placed.extent,
            dome_rise=side.dome_rise * (1 - 0.65 * placed.extent),
            volume=side.volume * (1 + 0.05 * placed.extent),
        )

    return change_sides(body, placed, lower)


def emphysema_shape(body: Body, placed: Placed) -> Body:
    """Hyperinflation with sparse vessels, dark lungs and a narrow heart."""

    def thin(side: Side) -> Side:
        return replace(
            side,
            vascularity=side.vascularity * (1 - 0.42 * placed.extent),
            volume=side.volume * (1 + 0.10 * placed.extent),
        )

    body = change_sides(hyperinflation_shape(body, placed), placed, thin)
    ratio = body.cardiothoracic_ratio * (1 - 0.16 * placed.extent)
    return replace(body, cardiothoracic_ratio=ratio, heart_bulge=0.3 * body.heart_bulge)


def lung_mask(scene: Scene, placed: Placed) -> Mask:
    """The visible lung fields of the affected sides."""
    mask = scene.canvas.zeros() > 0
    for side in placed.sides:
        mask |= scene.lung(side).field_HW > 0.5
    return mask


def congestion_shape(body: Body, placed: Placed) -> Body:
    """Wide vessels, most so at the hila."""

    def widen(side: Side) -> Side:
        return replace(
            side,
            vascularity=side.vascularity * (1 + 0.4 * placed.extent),
            hilum_size=side.hilum_size * (1 + 0.25 * placed.extent),
        )

    return change_sides(body, placed, widen)


def hilar_shape(body: Body, placed: Placed) -> Body:
    """Large hila."""
    return change_sides(
        body, placed, lambda s: replace(s, hilum_size=s.hilum_size * (1.3 + 0.9 * placed.extent))
    )


def hilum_mask(scene: Scene, placed: Placed) -> Mask:
    """Around the hila of the affected sides."""
    mask = scene.canvas.zeros() > 0
    for sign in placed.sides:
        side = scene.lung(sign).side
        dx = (scene.canvas.X_HW - sign * 3.4 - scene.body.shift) / 2.6
        dy = (scene.canvas.Y_HW - side.hilum_y - 1.0) / 3.6
        mask |= dx * dx + dy * dy < 1.0
    return mask


def raised_shape(body: Body, placed: Placed) -> Body:
    """One diaphragm high above its place."""
    return change_sides(
        body, placed, lambda s: replace(s, dome_y=s.dome_y - 1.2 - 4.0 * placed.extent)
    )


def low_volume_shape(body: Body, placed: Placed) -> Body:
    """Both diaphragms high: a poor breath."""
    return change_sides(
        body, placed, lambda s: replace(s, dome_y=s.dome_y - 0.8 - 2.6 * placed.extent)
    )


def lost_mask(scene: Scene, placed: Placed) -> Mask:
    """What was lung before the diaphragm rose."""
    mask = scene.canvas.zeros() > 0
    for side in placed.sides:
        mask |= lost_volume(scene, scene.lung(side))
    return mask


def fibrosis_shape(body: Body, placed: Placed) -> Body:
    """Shrunken lungs."""
    return change_sides(body, placed, lambda s: replace(s, dome_y=s.dome_y - 1.3 * placed.extent))


def scoliosis_shape(body: Body, placed: Placed) -> Body:
    """A bowed spine."""
    return replace(body, spine_bow=placed.sides[0] * (1.2 + 2.4 * placed.extent))


def spine_mask(scene: Scene, placed: Placed) -> Mask:
    """A band along the thoracic spine."""
    del placed
    bow = scene.body.spine_bow * np.exp(-(((scene.canvas.Y_HW - 12) / 9) ** 2))
    band: Mask = np.abs(scene.canvas.X_HW - bow) < 2.2
    return band


def tortuous_shape(body: Body, placed: Placed) -> Body:
    """A long aorta: large knob, bowed descent, wide ascent."""
    return replace(
        body,
        unfolding=body.unfolding + 1.0 + 2.0 * placed.extent,
        knob_radius=body.knob_radius * (1.08 + 0.22 * placed.extent),
    )


def aorta_mask(scene: Scene, placed: Placed) -> Mask:
    """Knob and descending aorta above the diaphragm."""
    del placed
    above: Mask = scene.body.left.rest_y > scene.canvas.Y_HW
    return above & (aorta(scene.canvas, scene.body) > 0.4)
