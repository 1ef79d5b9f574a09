"""Fitting the similarity gate's score on labelled examples, and choosing its threshold."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from models.gates.bank import NEAREST, Calibration, ImageBank, Matrix, nearest

FOLDS = 5
STRENGTH = 0.01  # inverse of the ridge: some 400 correlated features, a few hundred examples


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
        scores[held] = [partial.score(x) for x in x_ND[held]]
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
