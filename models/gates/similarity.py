"""The similarity gate: is an image like the bank of bad images rather than of good ones?

Study 1's quality control, with a calibrated threshold in place of a fixed cosine of 0.5.
"""

from pathlib import Path

from models.engines import EngineInfo, PaintedImage, PaintRequest
from models.gates.bank import load_bank
from models.gates.configs import SimilarityConfig
from models.gates.handcrafted import NUM_FEATURES, embed
from storage.errors import DamagedObject
from storage.records import GateScore, RejectionReason, Verdict

GATE = "similarity"


class SimilarityGate:
    """An ImageGate; the stored figure is the log-odds that the image is bad."""

    def __init__(self, config: SimilarityConfig) -> None:
        self.info = EngineInfo(config.kind, config.revision(), deterministic=True)
        self._bank = load_bank(Path(config.bank))
        if self._bank.mean.shape != (NUM_FEATURES,):
            raise DamagedObject(
                f"{config.bank} must hold embeddings of {NUM_FEATURES} features, got "
                f"{self._bank.mean.shape}; calibrate it again"
            )

    def check(self, request: PaintRequest, image: PaintedImage) -> Verdict:
        """The verdict with the score and its threshold; raises ValueError if not finite."""
        del request  # what was asked for does not matter to whether it is a radiograph
        score = self._bank.score(embed(image.pixels_HW))
        threshold = self._bank.calibration.threshold
        passed = score <= threshold
        reason = None if passed else RejectionReason.GATE_SAID_NO
        return Verdict(reason, (GateScore(GATE, "log_odds_bad", score, threshold, passed),))
