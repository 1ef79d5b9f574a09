"""One patient: the lengths, angles and habits that make a chest, drawn once from the seed.

Findings that change the shape of a chest (a large heart, a raised diaphragm) replace fields here
before anything is drawn; all random fields are drawn first, so the rest of the body stays.
"""

from dataclasses import dataclass

import numpy as np

from storage.records import Sex, View


@dataclass(frozen=True, slots=True)
class Side:
    """What differs between the two halves of a chest.

    Attributes:
        sign: -1 for the patient's right (image left), +1 for the left.
        dome_y: Height of the diaphragm's highest point, cm below the apex.
        rest_y: The same before findings moved it; what does not follow the diaphragm hangs on it.
        dome_rise: How far the costophrenic angle lies below the dome, cm.
        dome_peak: Lateral place of its top, 0 midline to 1 wall.
        dome_wave: Depth of the humps of its contour, cm.
        apex_y: Height of the lung apex, cm.
        hilum_y: Height of the hilum, cm.
        volume: Relative aeration of the lung, 1 = normal.
        vascularity: Relative calibre of the vessels, 1 = normal.
        hilum_size: Relative calibre of the vessels at the hilum, 1 = normal.
    """

    sign: int
    dome_y: float
    rest_y: float
    dome_rise: float
    dome_peak: float
    dome_wave: float
    apex_y: float
    hilum_y: float
    volume: float = 1.0
    vascularity: float = 1.0
    hilum_size: float = 1.0


@dataclass(frozen=True, slots=True)
class Body:
    """A chest in cm; see `Side` for what differs between its halves.

    Attributes:
        habitus: 0 thin to 1 heavy.
        half_width: Inner half width of the thorax at its widest.
        wall: Thickness of the lateral chest wall.
        half_depth: Half the depth of the trunk, front to back.
        shape: Exponent of the rib cage outline; small is a bell, large a barrel.
        cardiothoracic_ratio: Transverse heart diameter over inner thoracic width.
        heart_bulge: How convex the left heart border is, 0 straight to 1 round.
        heart_right: Share of the heart's width right of the midline.
        shift: Displacement of the mediastinum towards the left by rotation of the patient.
        knob_radius: Radius of the aortic knob.
        knob_y: Height of the aortic knob.
        unfolding: How far the descending aorta bows into the left lung.
        spine_bow: Lateral deviation of the spine at its apex (scoliosis when large).
        breast: Size of the breasts, 0 none.
        breast_x: Lateral place of their centres, share of `half_width`.
        breast_y: Height of their lower crescents.
        scapula_in: 1 when the scapulae overlie the lungs (AP), 0 when rolled out (PA).
        clavicle_y: Height of the medial ends of the clavicles.
        clavicle_lift: Rise of the clavicles towards the shoulders.
        shoulder_y: Height of the shoulders.
        arm_gap: Lateral distance of the arms from the trunk.
        rib_spacing: Distance between ribs along the wall.
        rib_phase: Height of the first rib's lateral turn.
        rib_drop: Half height of the ellipse a tilted rib projects to.
        rib_width: Height of a rib's shadow.
        bone_density: Relative mineral content.
        trachea_shift: Displacement of the trachea towards the left.
    """

    sex: Sex
    view: View
    age_years: int
    habitus: float
    half_width: float
    wall: float
    half_depth: float
    shape: float
    right: Side
    left: Side
    cardiothoracic_ratio: float
    heart_bulge: float
    heart_right: float
    shift: float
    knob_radius: float
    knob_y: float
    unfolding: float
    spine_bow: float
    breast: float
    breast_x: float
    breast_y: float
    scapula_in: float
    clavicle_y: float
    clavicle_lift: float
    shoulder_y: float
    arm_gap: float
    rib_spacing: float
    rib_phase: float
    rib_drop: float
    rib_width: float
    bone_density: float
    trachea_shift: float

    @property
    def sides(self) -> tuple[Side, Side]:
        """Right, then left."""
        return self.right, self.left

    @property
    def heart_half_width(self) -> float:
        """Half the transverse diameter of the heart, cm."""
        return self.cardiothoracic_ratio * self.half_width

    @property
    def heart_left(self) -> float:
        """How far the heart reaches left of the midline, cm, without the rotation."""
        return 2 * self.heart_half_width * (1 - self.heart_right)

    @property
    def heart_right_edge(self) -> float:
        """How far the heart reaches right of the midline, cm, without the rotation."""
        return 2 * self.heart_half_width * self.heart_right


def draw_body(rng: np.random.Generator, view: View, sex: Sex | None, age_years: int | None) -> Body:
    """A random body; sex and age are drawn where the request leaves them open."""
    u = rng.uniform
    drawn_sex = Sex.MALE if u() < 0.55 else Sex.FEMALE
    drawn_age = int(np.clip(rng.normal(52, 18), 18, 90))
    sex = sex or drawn_sex
    age = drawn_age if age_years is None else age_years
    female, portable = sex is Sex.FEMALE, view is View.AP
    child = float(np.clip(age / 17, 0.45, 1.0))
    size = child * (0.92 if female else 1.0) * u(0.93, 1.08)
    habitus = float(np.clip(rng.beta(2.0, 2.6), 0, 1))
    breath = u(-1, 1) - (1.1 if portable else 0.0)
    height = size * u(0.88, 1.08) * (22.3 + 1.5 * breath - 2.0 * habitus)
    rise = size * u(3.0, 4.8)
    right, left = _draw_sides(rng, height, rise, size)
    return Body(
        sex=sex,
        view=view,
        age_years=age,
        habitus=habitus,
        half_width=size * (13.2 + u(-1.2, 1.2) + 1.0 * habitus),
        wall=size * (1.2 + 2.8 * habitus * u(0.7, 1.3)),
        half_depth=size * (10.0 + 3.0 * habitus + u(-0.6, 0.6)),
        shape=u(1.8, 3.6),
        right=right,
        left=left,
        cardiothoracic_ratio=(u(0.43, 0.49) if portable else u(0.38, 0.46)),
        heart_bulge=u(0.1, 0.9),
        heart_right=u(0.27, 0.37),
        shift=rng.normal(0, 0.5 if portable else 0.25),
        knob_radius=size * (1.35 + 0.008 * max(age - 20, 0) + u(-0.15, 0.25)),
        knob_y=size * u(5.4, 6.8),
        unfolding=size * float(np.clip((age - 45) / 40, 0, 1)) * u(0.2, 1.6),
        spine_bow=rng.normal(0, 0.35),
        breast=(u(0.35, 1.0) * (0.55 + 0.75 * habitus) if female and age > 13 else 0.0),
        breast_x=u(0.52, 0.64),
        breast_y=height * u(0.92, 1.22),
        scapula_in=(u(0.5, 1.0) if portable else max(u(-0.9, 0.35), 0.0)),
        clavicle_y=size * (u(2.0, 4.2) if portable else u(2.8, 5.2)),
        clavicle_lift=size * (u(0.0, 2.5) if portable else u(1.0, 3.6)),
        shoulder_y=size * u(-0.8, 2.6),
        arm_gap=max(u(-1.0, 1.0), 0.0),
        rib_spacing=height * u(0.100, 0.118),
        rib_phase=size * u(1.0, 3.0),
        rib_drop=size * u(4.6, 7.2),
        rib_width=size * u(0.95, 1.25),
        bone_density=u(0.8, 1.2) * (1.0 - 0.3 * float(np.clip((age - 55) / 35, 0, 1))),
        trachea_shift=rng.normal(0, 0.25),
    )


def _draw_sides(
    rng: np.random.Generator, height: float, rise: float, size: float
) -> tuple[Side, Side]:
    u = rng.uniform
    gap = size * (1.6 + rng.normal(0, 0.55))  # the left dome is usually 1-2 cm lower
    hilum = height * u(0.40, 0.46)
    drop = size * u(0.4, 1.4)  # the left hilum lies higher
    right = Side(
        -1,
        height,
        height,
        rise * u(0.85, 1.15),
        u(0.38, 0.58),
        rng.normal(0, 0.35),
        size * u(-0.2, 0.2),
        hilum + drop,
    )
    left = Side(
        1,
        height + gap,
        height + gap,
        rise * u(0.8, 1.1),
        u(0.38, 0.58),
        rng.normal(0, 0.35),
        size * u(-0.2, 0.2),
        hilum,
    )
    return right, left
