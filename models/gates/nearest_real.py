"""The nearest_real gate: neither a copy of a real training image, nor like none of them."""

from collections.abc import Sequence

from models.encoders.seam import ImageEncoder, Matrix
from models.encoders.shared import open_encoder
from models.engines import EngineInfo, PaintedImage, PaintRequest
from models.gates.configs import NearestRealConfig
from models.gates.embedding import judge_embeddings
from models.gates.real_images import Neighbour, RealImages
from storage.records import GateScore, RejectionReason, Verdict

GATE = "nearest_real"


class NearestRealGate:
    """An ImageGate; it stores the distance against both thresholds, and the neighbour's row."""

    def __init__(self, config: NearestRealConfig) -> None:
        self._config = config
        revision = config.revision()  # refuses a table of another encoder
        self._real = RealImages(config.index)
        self._encoder: ImageEncoder = open_encoder(config.encoder)
        self.info = EngineInfo(config.kind, revision, self._encoder.info.deterministic)

    def check(
        self, requests: Sequence[PaintRequest], images: Sequence[PaintedImage]
    ) -> list[Verdict]:
        """The verdicts with the distance to the nearest real image, never the image itself.

        `neighbour_row` is the neighbour's row in the table, of as many as its threshold says.
        """

        def judge(embeddings_ND: Matrix, places: list[int]) -> list[Verdict]:
            own_ids = [requests[at].sample_id for at in places]
            return [self._verdict(one) for one in self._real.nearest(embeddings_ND, own_ids)]

        return judge_embeddings(GATE, self._encoder, images, judge)

    def _verdict(self, nearest: Neighbour) -> Verdict:
        least, most = self._config.min_distance, self._config.max_distance
        distance, num_rows = nearest.distance, len(self._real.image_ids)
        near, far = distance < least, distance > most
        reason = RejectionReason.MEMORISED if near else RejectionReason.UNLIKE_REAL
        return Verdict(
            reason if near or far else None,
            (
                GateScore(GATE, "distance_at_least", distance, least, not near),
                GateScore(GATE, "distance_at_most", distance, most, not far),
                GateScore(GATE, "neighbour_row", float(nearest.row), float(num_rows), passed=True),
            ),
        )
