"""Banks of good and bad images with a score and threshold calibrated on them, in one file.

Shape suffixes: N and M images, D features.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from models.encoders.seam import Matrix
from storage.errors import DamagedObject, EngineUnavailable

FORMAT = "cxr-factory image bank 2"
NEAREST = 5  # bank images whose mean similarity counts


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


@dataclass(frozen=True, slots=True)
class BankOrigin:
    """What a bank derives from.

    Attributes:
        encoder: Kind of the encoder; an embedding of any other says nothing here.
        encoder_revision: Of its weights or rules.
        restricted: Whether its images are credentialed data.
    """

    encoder: str
    encoder_revision: str
    restricted: bool = False


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

    def scores(self, embeddings_ND: Matrix) -> list[float]:
        """Log-odds that the image of each embedding is bad."""
        x_ND = (embeddings_ND - self.mean) / self.scale
        near = [nearest(x_ND, bank) for bank in (self.good_ND, self.bad_ND)]
        scores_N = np.column_stack([x_ND, *near]) @ self.weights + self.intercept
        return [float(score) for score in scores_N]


def nearest(x_ND: Matrix, bank_MD: Matrix, allowed_NM: NDArray[np.bool_] | None = None) -> Matrix:
    """Mean cosine similarity of each row to its NEAREST rows of a bank, (N,)."""
    similarity = _unit(x_ND) @ _unit(bank_MD).T
    if allowed_NM is not None:
        similarity = np.where(allowed_NM, similarity, -1.0)
    closest = np.sort(similarity, axis=1)[:, -NEAREST:]
    return np.asarray(closest.mean(axis=1), np.float32)


def _unit(x_ND: Matrix) -> Matrix:
    return np.asarray(x_ND / (np.linalg.norm(x_ND, axis=1, keepdims=True) + 1e-6), np.float32)


def save_bank(bank: ImageBank, origin: BankOrigin, path: Path) -> None:
    """Write the bank as safetensors so that `path` holds the old or the new one, never half."""
    names = ("good_ND", "bad_ND", "mean", "scale", "weights")
    tensors = {name: np.ascontiguousarray(getattr(bank, name), np.float32) for name in names}
    header = {
        "format": FORMAT,
        "origin": json.dumps(asdict(origin)),
        "calibration": json.dumps(asdict(bank.calibration)),
        "intercept": repr(bank.intercept),
    }
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, partial, metadata=header)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_bank(path: Path) -> ImageBank:
    """Read what `save_bank` wrote.

    Raises:
        EngineUnavailable: If there is no file.
        DamagedObject: If it is no bank.
    """
    header, tensors = _read(path, with_tensors=True)
    try:
        calibration = Calibration(**json.loads(header["calibration"]))
        return ImageBank(**tensors, intercept=float(header["intercept"]), calibration=calibration)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def bank_origin(path: Path) -> BankOrigin:
    """What a bank derives from; reads its header alone. Raises as `load_bank`."""
    header, _ = _read(path, with_tensors=False)
    try:
        return BankOrigin(**json.loads(header["origin"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def require_bank(path: Path, encoder: str, encoder_revision: str) -> None:
    """Refuse a bank that is missing, or was made by another encoder.

    Raises:
        EngineUnavailable: One line: what is there, what is wanted, what to do.
        DamagedObject: If the file is no bank.
    """
    origin = bank_origin(path)
    if (origin.encoder, origin.encoder_revision) != (encoder, encoder_revision):
        raise EngineUnavailable(
            f"similarity gate: bank {path} was made by the encoder {origin.encoder} of revision "
            f"{origin.encoder_revision[:19]}, the gate's is {encoder} of revision "
            f"{encoder_revision[:19]}; calibrate a bank with this encoder, or name that one"
        )


def _read(path: Path, *, with_tensors: bool) -> tuple[dict[str, str], dict[str, Matrix]]:
    if not path.is_file():
        raise EngineUnavailable(
            f"similarity gate: bank must be a file of calibrated image banks, got {str(path)!r}, "
            "which does not exist; make it with `cxr-factory calibrate`"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise ValueError(f"format {header.get('format')!r}")
            names = file.keys() if with_tensors else ()
            return header, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DamagedObject:
    return DamagedObject(
        f"{path} must be an image bank of format {FORMAT!r}, got: {error}; calibrate it again"
    )
