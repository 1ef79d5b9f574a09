"""The agreement gate: does an image show what its text says, by the cosine of two towers?"""

from collections.abc import Sequence

import numpy as np

from models.encoders.seam import ImageTextEncoder, Matrix
from models.encoders.shared import open_encoder
from models.engines import EngineInfo, PaintedImage, PaintRequest
from models.gates.configs import AgreementConfig
from models.gates.embedding import judge_embeddings
from storage.records import GateScore, RejectionReason, Verdict

GATE = "agreement"
NO_TEXT = Verdict(None, (GateScore(GATE, "num_characters", 0.0, 0.0, passed=True),))


class AgreementGate:
    """An ImageGate; the stored figure is the cosine of image and text."""

    def __init__(self, config: AgreementConfig) -> None:
        self._config = config
        self._encoder: ImageTextEncoder = open_encoder(config.encoder)
        self.info = EngineInfo(config.kind, config.revision(), self._encoder.info.deterministic)

    def check(
        self, requests: Sequence[PaintRequest], images: Sequence[PaintedImage]
    ) -> list[Verdict]:
        """The verdicts with the cosine of the image and the prompt it was painted from.

        An image that no text conditioned has nothing to disagree with: it passes, and says so.
        """

        def judge(embeddings_ND: Matrix, places: list[int]) -> list[Verdict]:
            prompts = [requests[at].prompt for at in places]
            cosines = np.sum(embeddings_ND * self._encoder.embed_texts(prompts), axis=1)
            return [
                self._verdict(float(cosine)) if prompt else NO_TEXT
                for cosine, prompt in zip(cosines, prompts, strict=True)
            ]

        return judge_embeddings(GATE, self._encoder, images, judge)

    def _verdict(self, cosine: float) -> Verdict:
        least = self._config.min_cosine
        passed = cosine >= least
        reason = None if passed else RejectionReason.TEXT_MISMATCH
        return Verdict(reason, (GateScore(GATE, "cosine", cosine, least, passed),))
