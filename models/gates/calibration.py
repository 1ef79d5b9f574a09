"""Fitting the similarity gate's score on labelled examples, and choosing its threshold.

Shape suffixes: N and M images, D features.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from models.encoders.seam import ImageEncoder, Matrix
from models.gates.bank import NEAREST, Calibration, ImageBank, nearest
from models.gates.examples import ImageExample, halves

FOLDS = 5
STRENGTH = 0.01  # inverse of the ridge: some 400 correlated features, a few hundred examples


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """What a calibrated gate does to images of patients it never saw.

    Attributes:
        acceptance: Share of good images accepted.
        precision: Share of rejected images that are bad; None when none was rejected.
        recall: Share of bad images rejected.
        recall_by_kind: The same per kind of fault.
        num_good: Good images.
        num_bad: Bad images.
    """

    acceptance: float
    precision: float | None
    recall: float
    recall_by_kind: dict[str, float]
    num_good: int
    num_bad: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def calibrate_on_half(
    encoder: ImageEncoder,
    good: Sequence[ImageExample],
    bad: Sequence[ImageExample],
    acceptance: float,
    seed: int,
) -> tuple[ImageBank, HeldOutFigures]:
    """A bank of one half of the patients, and its figures on the other half.

    Raises:
        ValueError: If a half lacks examples.
    """
    of_good, of_bad = halves(good, seed), halves(bad, seed)
    for name, side in (("good", of_good), ("bad", of_bad)):
        if not side.held_out:
            raise ValueError(
                f"similarity gate: expected {name} images of patients to measure on, got none of "
                f"{len(side.calibration)}; add images of other patients"
            )
    bank = calibrate_bank(
        _embed(encoder, of_good.calibration),
        _embed(encoder, of_bad.calibration),
        [one.patient_id for one in of_good.calibration],
        [one.patient_id for one in of_bad.calibration],
        acceptance,
    )
    return bank, _held_out(bank, encoder, of_good.held_out, of_bad.held_out)


def _embed(encoder: ImageEncoder, examples: Sequence[ImageExample]) -> Matrix:
    return encoder.embed([example.pixels_HW for example in examples])


def _held_out(
    bank: ImageBank,
    encoder: ImageEncoder,
    good: Sequence[ImageExample],
    bad: Sequence[ImageExample],
) -> HeldOutFigures:
    threshold = bank.calibration.threshold
    refused, caught = (
        np.array(bank.scores(_embed(encoder, side))) > threshold for side in (good, bad)
    )
    kinds = np.array([example.kind for example in bad])
    num_rejected = int(caught.sum() + refused.sum())
    return HeldOutFigures(
        acceptance=float(1 - refused.mean()),
        precision=float(caught.sum() / num_rejected) if num_rejected else None,
        recall=float(caught.mean()),
        recall_by_kind={
            str(kind): float(caught[kinds == kind].mean()) for kind in np.unique(kinds)
        },
        num_good=len(good),
        num_bad=len(bad),
    )


def calibrate_bank(
    good_ND: Matrix,
    bad_ND: Matrix,
    good_patients: Sequence[str],
    bad_patients: Sequence[str],
    acceptance: float = 0.97,
) -> ImageBank:
    """Banks, a ridge-penalised logistic score on them, and its threshold.

    The threshold is the quantile of good scores at `acceptance`, each score given by a fit that
    saw no image of that patient; precision and recall are of the same scores.

    Args:
        good_ND: Embeddings of good images, (N, D).
        bad_ND: Embeddings of bad images, (M, D).
        good_patients: Whose image each good one is; no patient is on both sides of a fold.
        bad_patients: The same of the bad ones.
        acceptance: Share of good calibration images to accept; a little above what is wanted of
            new images.

    Raises:
        ValueError: If a bank is too small, or acceptance is not between 0 and 1.
    """
    for name, bank in (("good", good_ND), ("bad", bad_ND)):
        if len(bank) <= NEAREST * FOLDS:
            raise ValueError(
                f"similarity gate: the bank of {name} images must hold more than "
                f"{NEAREST * FOLDS}, got {len(bank)}; add labelled examples"
            )
    if not 0 < acceptance < 1:
        raise ValueError(f"acceptance must be between 0 and 1, got {acceptance!r}; try 0.97")
    x_ND = np.concatenate([good_ND, bad_ND])
    is_bad = np.arange(len(x_ND)) >= len(good_ND)
    patients = np.array([*good_patients, *bad_patients])
    scores = np.empty(len(x_ND))
    for seen, held in GroupKFold(FOLDS).split(x_ND, is_bad, patients):
        partial = _fit(x_ND[seen], is_bad[seen], patients[seen])
        scores[held] = partial.scores(x_ND[held])
    threshold = float(np.quantile(scores[~is_bad], acceptance))
    fitted = _fit(x_ND, is_bad, patients)
    return ImageBank(
        fitted.good_ND,
        fitted.bad_ND,
        fitted.mean,
        fitted.scale,
        fitted.weights,
        fitted.intercept,
        _figures(scores, is_bad, threshold),
    )


def _figures(
    scores: NDArray[np.float64], is_bad: NDArray[np.bool_], threshold: float
) -> Calibration:
    rejected = scores > threshold
    hits = int((rejected & is_bad).sum())
    return Calibration(
        threshold=threshold,
        acceptance=float(1 - rejected[~is_bad].mean()),
        precision=hits / max(int(rejected.sum()), 1),
        recall=hits / int(is_bad.sum()),
    )


def _fit(x_ND: Matrix, is_bad: NDArray[np.bool_], patients: NDArray[np.str_]) -> ImageBank:
    """A bank whose calibration is still to come; similarities leave out the own patient."""
    mean, scale = x_ND.mean(axis=0), x_ND.std(axis=0) + 1e-3
    x = (x_ND - mean) / scale
    others = patients[:, None] != patients[None, :]
    near = [nearest(x, x[side], others[:, side]) for side in (~is_bad, is_bad)]
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)
    model.fit(np.column_stack([x, *near]), is_bad)
    unset = Calibration(float("inf"), 1.0, 0.0, 0.0)
    weights, intercept = model.coef_[0].astype(np.float32), float(model.intercept_[0])
    return ImageBank(x[~is_bad], x[is_bad], mean, scale, weights, intercept, unset)
