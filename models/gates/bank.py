"""Banks of good and bad images with a score and threshold calibrated on them, in one file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from storage.errors import DamagedObject, EngineUnavailable

FORMAT = "cxr-factory image bank 1"
NEAREST = 5  # bank images whose mean similarity counts

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the threshold was chosen for and reached, on examples the score had not seen.

    Attributes:
        threshold: Log-odds of being bad above which an image is rejected.
        acceptance: Share of good images accepted.
        precision: Share of rejected images that are bad.
        recall: Share of bad images rejected.
    """

    threshold: float
    acceptance: float
    precision: float
    recall: float


@dataclass(frozen=True, eq=False)
class ImageBank:
    """Embeddings (N, D) standardised by `mean` and `scale` (D,), and the fitted score (D + 2,)."""

    good_ND: Matrix
    bad_ND: Matrix
    mean: Matrix
    scale: Matrix
    weights: Matrix
    intercept: float
    calibration: Calibration

    def score(self, embedding: Matrix) -> float:
        """Log-odds that an image of this embedding, (D,), is bad."""
        x = (embedding - self.mean) / self.scale
        near = [nearest(x[None], bank)[0] for bank in (self.good_ND, self.bad_ND)]
        return float(np.concatenate([x, near]) @ self.weights) + self.intercept


def nearest(x_ND: Matrix, bank_MD: Matrix, allowed_NM: NDArray[np.bool_] | None = None) -> Matrix:
    """Mean cosine similarity of each row to its NEAREST rows of a bank, (N,)."""
    similarity = _unit(x_ND) @ _unit(bank_MD).T
    if allowed_NM is not None:
        similarity = np.where(allowed_NM, similarity, -1.0)
    closest = np.sort(similarity, axis=1)[:, -NEAREST:]
    return np.asarray(closest.mean(axis=1), np.float32)


def _unit(x_ND: Matrix) -> Matrix:
    return np.asarray(x_ND / (np.linalg.norm(x_ND, axis=1, keepdims=True) + 1e-6), np.float32)


def save_bank(bank: ImageBank, path: Path) -> None:
    """Write the bank as safetensors, the calibration in its header."""
    names = ("good_ND", "bad_ND", "mean", "scale", "weights")
    tensors = {name: np.ascontiguousarray(getattr(bank, name), np.float32) for name in names}
    header = {"format": FORMAT, "calibration": json.dumps(asdict(bank.calibration))}
    save_file(tensors, path, metadata=header | {"intercept": repr(bank.intercept)})


def load_bank(path: Path) -> ImageBank:
    """Read what `save_bank` wrote.

    Raises:
        EngineUnavailable: If there is no file.
        DamagedObject: If it is no bank.
    """
    require_bank(path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise ValueError(f"format {header.get('format')!r}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        calibration = Calibration(**json.loads(header["calibration"]))
        return ImageBank(**tensors, intercept=float(header["intercept"]), calibration=calibration)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedObject(
            f"{path} must be an image bank of format {FORMAT!r}, got: {error}; calibrate it again"
        ) from error


def require_bank(path: Path) -> None:
    """Raise EngineUnavailable unless the file is there."""
    if not path.is_file():
        raise EngineUnavailable(
            f"similarity gate: bank must be a file of calibrated image banks, got {str(path)!r}, "
            "which does not exist; make it with models.gates.calibration.calibrate_bank"
        )
