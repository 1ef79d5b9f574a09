"""PhantomPainter: body, findings, devices and exposure of each request, from its seed alone."""

import time
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from models.engines import EngineInfo, PaintedImage, PaintRequest
from models.images import encode_mask
from models.painters.phantom.anatomy import Scene, build
from models.painters.phantom.body import Body, draw_body
from models.painters.phantom.canvas import Canvas, Mask, make_canvas
from models.painters.phantom.catalogue import DRAWINGS
from models.painters.phantom.devices import clutter
from models.painters.phantom.exposure import attenuation, develop, draw_technique, expose
from models.painters.phantom.markers import collimate, letters, stamp
from models.painters.phantom.placement import Placed, place
from models.painters.phantom.skeleton import skeleton
from models.painters.phantom.vessels import vessels
from storage.records import EntityStatus, FindingMask, View

if TYPE_CHECKING:
    from models.painters.configs import PhantomConfig


class Stream(IntEnum):
    """Independent random streams of one request; what one draws never moves another."""

    BODY = 0
    FRAME = 1
    VESSELS = 2
    QUANTA = 3
    CLUTTER = 4
    TECHNIQUE = 5
    TISSUE = 6
    BLADES = 7
    LETTERS = 8


def drawable_texts() -> frozenset[str]:
    """Entity texts that are drawn; all others leave the image as it is."""
    return frozenset(DRAWINGS)


class PhantomPainter:
    """A ReportPainter that knows the truth: what is asked for is drawn, and masked exactly."""

    max_batch_size = 16

    def __init__(self, config: "PhantomConfig") -> None:
        self.config = config
        self.info = EngineInfo(config.kind, config.revision(), deterministic=True)

    def paint(self, requests: Sequence[PaintRequest]) -> list[PaintedImage]:
        """Answer every request, in order; each image depends on its own request alone."""
        return [self._paint_one(request) for request in requests]

    def close(self) -> None:
        """Nothing to give back."""

    def _paint_one(self, request: PaintRequest) -> PaintedImage:
        start = time.perf_counter()
        portable = request.view is View.AP
        findings = findings_of(request)
        body = draw_body(_rng(request, Stream.BODY), request.view, request.sex, request.age_years)
        canvas = frame(body, self.config.image_size_px, portable, _rng(request, Stream.FRAME))
        scene, masks = draw_scene(request, canvas, body, findings)
        technique = draw_technique(_rng(request, Stream.TECHNIQUE), portable)
        signal = expose(attenuation(scene), canvas, technique, _rng(request, Stream.QUANTA))
        pixels = collimate(develop(signal, technique), _rng(request, Stream.BLADES))
        pixels = stamp(pixels, letters(canvas, _rng(request, Stream.LETTERS), portable))
        return PaintedImage(pixels, masks, time.perf_counter() - start)


def _rng(request: PaintRequest, stream: Stream) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([request.seed, int(stream)]))


def findings_of(request: PaintRequest) -> list[Placed]:
    """The request's entities that are present or uncertain and have a drawing, placed."""
    return [
        place(entity, request.seed, DRAWINGS[entity.text].both)
        for entity in request.entities
        if entity.status is not EntityStatus.ABSENT and entity.text in DRAWINGS
    ]


def frame(body: Body, size_px: int, portable: bool, rng: np.random.Generator) -> Canvas:
    """How the detector stands to the patient: field, centring, tilt."""
    field = 2 * body.half_width * rng.uniform(1.20, 1.58)
    centre = (rng.normal(0, 0.7), (0.5 - rng.uniform(0.08, 0.22)) * field)
    return make_canvas(size_px, field, rng.normal(0, 0.045 if portable else 0.02), centre)


def draw_scene(
    request: PaintRequest, canvas: Canvas, body: Body, findings: Sequence[Placed]
) -> tuple[Scene, tuple[FindingMask, ...]]:
    """The chest with its findings, and each finding's mask."""
    shaped = body
    for placed in findings:
        reshape = DRAWINGS[placed.entity.text].shape
        shaped = reshape(shaped, placed) if reshape else shaped
    scene = build(canvas, shaped, _rng(request, Stream.TISSUE))
    scene.bone_HW += skeleton(canvas, shaped)
    scene.vessels_HW += vessels(canvas, shaped, _rng(request, Stream.VESSELS))
    masks = tuple(_draw(scene, placed) for placed in findings)
    portable, rng = request.view is View.AP, _rng(request, Stream.CLUTTER)
    clutter(scene, rng, portable)
    return scene, masks


def _draw(scene: Scene, placed: Placed) -> FindingMask:
    mask: Mask = DRAWINGS[placed.entity.text].draw(scene, placed)
    return FindingMask(placed.entity.text, placed.entity.anatomy, encode_mask(mask))
