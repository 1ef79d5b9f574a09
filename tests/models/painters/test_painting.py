"""The paint station: every image is put to every gate, and what is refused can still be stored."""

from collections.abc import Sequence

import numpy as np
import pytest

from models.engines import EngineInfo, ImageGate, PaintedImage, PaintRequest
from models.gates.configs import TechnicalConfig
from models.images import decode_png
from models.painters.painting import PaintStation
from storage.records import GateScore, RejectionReason, Report, Verdict, View

REQUESTS = [PaintRequest(f"id{n}", 0, "", Report("", ""), (), View.PA) for n in range(3)]


class Ramps:
    """A painter; the second of its images has values that are not finite."""

    info = EngineInfo("ramps", "1", deterministic=True)
    max_batch_size = 8

    def paint(self, requests: Sequence[PaintRequest]) -> list[PaintedImage]:
        line = np.linspace(20, 230, 32, dtype=np.float32)
        ramp = (line[:, None] + line[None, :]) / 2
        images = [ramp.copy() for _ in requests]
        images[1][0, :3] = (np.nan, np.inf, -np.inf)
        return [PaintedImage(image, (), 0.0) for image in images]

    def close(self) -> None:
        return


class Counting:
    """A gate that refuses the third image and remembers how many it saw at once."""

    info = EngineInfo("counting", "1", deterministic=True)

    def __init__(self) -> None:
        self.batches: list[int] = []

    def check(
        self, requests: Sequence[PaintRequest], images: Sequence[PaintedImage]
    ) -> list[Verdict]:
        self.batches.append(len(images))
        passed = [request.sample_id != "id2" for request in requests]
        scores = [GateScore("counting", "allowed", float(one), 1.0, one) for one in passed]
        reasons = [None if one else RejectionReason.GATE_SAID_NO for one in passed]
        return [Verdict(reason, (score,)) for reason, score in zip(reasons, scores, strict=True)]


def test_station_asks_gates_for_whole_batches_and_joins_their_verdicts() -> None:
    counting = Counting()
    outcomes = PaintStation(Ramps(), [TechnicalConfig().open(), counting]).run(REQUESTS)
    assert counting.batches == [3]
    assert [outcome.verdict.reason for outcome in outcomes] == [
        None,
        RejectionReason.NOT_FINITE,
        RejectionReason.GATE_SAID_NO,
    ]
    assert {score.gate for score in outcomes[0].verdict.scores} == {"technical", "counting"}


def test_station_stores_a_refused_image_that_is_not_finite() -> None:
    outcomes = PaintStation(Ramps(), [TechnicalConfig().open()]).run(REQUESTS)
    assert decode_png(outcomes[1].png)[0, :3].tolist() == [0, 255, 0]


@pytest.mark.parametrize("gates", [[], [Counting()]])
def test_station_never_stores_what_is_not_finite_as_accepted(gates: list[ImageGate]) -> None:
    with pytest.raises(ValueError, match="must be finite to be stored"):
        PaintStation(Ramps(), gates).run(REQUESTS)
