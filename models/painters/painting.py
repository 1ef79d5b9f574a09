"""The paint stage's station and its algorithm: paint, check, encode, try again (steps 5 and 6)."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.engines import (
    EngineConfig,
    ImageGate,
    PaintedImage,
    PaintRequest,
    Placement,
    ReportPainter,
)
from models.images import encode_png, signature, to_uint8
from models.settling import (
    Attempt,
    Seeds,
    outcome_of,
    provenance,
    quarantine_provenance,
    run_tries,
)
from storage.errors import EngineFailed
from storage.records import (
    FindingMask,
    ImageRow,
    Outcome,
    RejectionReason,
    Report,
    ReportRow,
    Verdict,
)

Prompts = Callable[[Report], str]  # what of a report conditions the painter
Pixels = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PaintItem:
    """A kept report that wants an image.

    Attributes:
        tries_before: Tries at it in earlier rounds, whose images the judge refused.
    """

    written: ReportRow
    tries_before: int = 0


@dataclass(frozen=True, slots=True)
class PaintOutcome:
    """One judged try at an image, encoded as it will be stored."""

    png: bytes
    sha256: str
    width_px: int
    height_px: int
    signature: str
    masks: tuple[FindingMask, ...]
    verdict: Verdict
    engine_seconds: float

    @property
    def num_tokens(self) -> int:
        """None: a painter is no language model."""
        return 0


@dataclass(frozen=True, slots=True)
class PaintStationConfig:
    """A painter and the gates that look at every image, in order."""

    painter: EngineConfig
    gates: tuple[EngineConfig, ...]

    @property
    def placement(self) -> Placement:
        """The painter's."""
        return self.painter.placement

    def open(self) -> "PaintStation":
        """Load painter and gates."""
        return PaintStation(self.painter.open(), [gate.open() for gate in self.gates])


class PaintStation:
    """Paint, check, encode (study 1, steps 5 and 6)."""

    def __init__(self, painter: ReportPainter, gates: Sequence[ImageGate]) -> None:
        self.info = painter.info
        self.max_batch_size = painter.max_batch_size
        self._painter = painter
        self._gates = gates

    def run(self, requests: Sequence[PaintRequest]) -> list[PaintOutcome]:
        """One judged, encoded image per request, in order."""
        images = self._painter.paint(requests)
        assert len(images) == len(requests), f"{self.info.kind} lost an image"
        verdicts = check_images(self._gates, requests, images)
        return [_encoded(*one) for one in zip(requests, images, verdicts, strict=True)]

    def close(self) -> None:
        """Close the painter."""
        self._painter.close()


def check_images(
    gates: Sequence[ImageGate], requests: Sequence[PaintRequest], images: Sequence[PaintedImage]
) -> list[Verdict]:
    """What all gates together say of each image: the first that refuses it names the reason."""
    found = [gate.check(requests, images) for gate in gates]
    assert all(len(verdicts) == len(images) for verdicts in found), "a gate lost an image"
    return [_together([verdicts[index] for verdicts in found]) for index in range(len(images))]


def _together(verdicts: Sequence[Verdict]) -> Verdict:
    return Verdict(
        reason=next((verdict.reason for verdict in verdicts if not verdict.passed), None),
        scores=tuple(score for verdict in verdicts for score in verdict.scores),
    )


def _encoded(request: PaintRequest, image: PaintedImage, verdict: Verdict) -> PaintOutcome:
    pixels_HW = to_uint8(image.pixels_HW if verdict.passed else _finite(image.pixels_HW))
    png = encode_png(pixels_HW, request.sample_id)
    height, width = pixels_HW.shape
    return PaintOutcome(
        png=png,
        sha256=hashlib.sha256(png).hexdigest(),
        width_px=width,
        height_px=height,
        signature=signature(pixels_HW),
        masks=image.masks,
        verdict=verdict,
        engine_seconds=image.engine_seconds,
    )


def _finite(pixels_HW: Pixels) -> Pixels:
    """A refused image as it can be stored: what is not finite is shown black, or white."""
    if pixels_HW.dtype == np.uint8:
        return pixels_HW
    return np.nan_to_num(pixels_HW.astype(np.float32), posinf=255.0)


def paint_reports(
    items: Sequence[PaintItem],
    submit: "Callable[[PaintRequest], Future[PaintOutcome]]",
    seeds: Seeds,
    max_tries: int,
    timeout_seconds: float,
    attempt: Attempt,
    prompt_of: Prompts,
) -> list[ImageRow]:
    """Paint an image for every accepted report and put it to the image gates (steps 5 and 6).

    A later round goes on with the seeds where the earlier ones ended.
    """

    def submit_try(item: PaintItem, number: int) -> "Future[PaintOutcome]":
        sample, report = item.written.sample, _report(item.written)
        return submit(
            PaintRequest(
                sample_id=sample.sample_id,
                seed=seeds(sample.sample_id, item.tries_before + number),
                prompt=prompt_of(report),
                report=report,
                entities=sample.entities,
                view=sample.view,
                sex=sample.sex,
                age_years=sample.age_years,
            )
        )

    tried = [
        replace(result, num_tries=item.tries_before + result.num_tries)
        for item, result in zip(
            items, run_tries(items, submit_try, max_tries, timeout_seconds), strict=True
        )
    ]
    return [
        ImageRow(
            written=item.written,
            outcome=outcome_of(result.outcome.verdict),
            reason=result.outcome.verdict.reason,
            png=result.outcome.png,
            sha256=result.outcome.sha256,
            width_px=result.outcome.width_px,
            height_px=result.outcome.height_px,
            signature=result.outcome.signature,
            masks=result.outcome.masks,
            scores=result.outcome.verdict.scores,
            provenance=provenance(
                attempt, item.written.sample, seeds, result, prompt_of(_report(item.written))
            ),
        )
        for item, result in zip(items, tried, strict=True)
    ]


def quarantined_image(
    item: PaintItem, error: EngineFailed, seeds: Seeds, attempt: Attempt
) -> ImageRow:
    """The row of a sample whose image no engine call survives."""
    return ImageRow(
        written=item.written,
        outcome=Outcome.QUARANTINED,
        reason=RejectionReason.ENGINE_FAILED,
        png=None,
        sha256="",
        width_px=0,
        height_px=0,
        signature="",
        masks=(),
        scores=(),
        provenance=quarantine_provenance(
            item.written.sample, error, seeds, attempt, item.tries_before + 1
        ),
    )


def _report(row: ReportRow) -> Report:
    assert row.report is not None, f"sample {row.sample.index} was accepted without a report"
    return row.report
