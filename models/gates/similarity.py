"""The similarity gate: is an image like the bank of bad images rather than of good ones?

Study 1's quality control, with a calibrated threshold in place of a fixed cosine of 0.5.
"""

from collections.abc import Sequence

from models.encoders.seam import ImageEncoder, Matrix
from models.encoders.shared import open_encoder
from models.engines import EngineInfo, PaintedImage, PaintRequest
from models.gates.bank import load_bank
from models.gates.configs import SimilarityConfig
from models.gates.embedding import judge_embeddings
from models.places import local_path
from storage.errors import DamagedObject
from storage.records import GateScore, RejectionReason, Verdict

GATE = "similarity"


class SimilarityGate:
    """An ImageGate; the stored figure is the log-odds that the image is bad."""

    def __init__(self, config: SimilarityConfig) -> None:
        revision = config.revision()  # refuses a bank of another encoder
        self._bank = load_bank(local_path(config.bank))
        self._encoder: ImageEncoder = open_encoder(config.encoder)
        deterministic = self._encoder.info.deterministic
        self.info = EngineInfo(config.kind, revision, deterministic)

    def check(
        self, requests: Sequence[PaintRequest], images: Sequence[PaintedImage]
    ) -> list[Verdict]:
        """The verdicts with the score and its threshold."""
        del requests  # what was asked for does not matter to whether it is a radiograph
        return judge_embeddings(GATE, self._encoder, images, self._judge)

    def _judge(self, embeddings_ND: Matrix, _: list[int]) -> list[Verdict]:
        if embeddings_ND.shape[1:] != self._bank.mean.shape:
            raise DamagedObject(
                f"bank must hold embeddings of {embeddings_ND.shape[1]} features, got "
                f"{self._bank.mean.shape[0]}; calibrate it again"
            )
        return [self._verdict(score) for score in self._bank.scores(embeddings_ND)]

    def _verdict(self, score: float) -> Verdict:
        threshold = self._bank.calibration.threshold
        passed = score <= threshold
        reason = None if passed else RejectionReason.BAD_IMAGE
        return Verdict(reason, (GateScore(GATE, "log_odds_bad", score, threshold, passed),))
