"""Linear probe: logistic regression on the frozen image tower's pooled features.

Shape suffixes: N images, F findings, C channels.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.downstream.few_labels import (
    FewLabelsResult,
    Fitted,
    LinearProbeConfig,
    measure_shares,
)
from models.downstream.finding_scores import macro_auroc
from models.downstream.labelled_splits import LabelledSplits
from models.downstream.metrics import UNKNOWN

MAX_ITERATIONS = 5000  # of L-BFGS; some hundred do on standardised features


class FeatureEncoder(Protocol):
    """What a probe asks of a model."""

    def pooled_features(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Features of grey images of any size, (N, C)."""
        ...


def evaluate_linear_probe(
    model: FeatureEncoder, splits: LabelledSplits, config: LinearProbeConfig
) -> FewLabelsResult:
    """AUROC per finding and their macro mean at every share of the labels.

    Source: Wang et al. 2022 (MGCA), linear classification, for shares and frozen tower; logistic
    regression, whose optimum needs no learning rate, stands in for its linear layer by AdamW.

    Args:
        model: Encodes images; is not changed.
        splits: Train, validation and test by patient.
        config: Shares and regularisations.
    """
    train_NC, validation_NC, test_NC = (
        model.pooled_features(labelled.images).astype(np.float64)
        for labelled in (splits.train, splits.validation, splits.test)
    )
    validation_NF = splits.validation.labels_NF

    def fit(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Fitted:
        mean_C, deviation_C = train_NC[rows].mean(axis=0), train_NC[rows].std(axis=0)
        deviation_C[deviation_C == 0] = 1  # a channel that is the same everywhere says nothing
        seen_NC, chosen_on_NC, asked_NC = (
            (features_NC - mean_C) / deviation_C
            for features_NC in (train_NC[rows], validation_NC, test_NC)
        )
        labels_NF = splits.train.labels_NF[np.ix_(rows, columns)]
        tried = []
        for strength in sorted(config.inverse_regularisations):
            heads = _heads(seen_NC, labels_NF, strength)
            macro = macro_auroc(_scores(heads, chosen_on_NC), validation_NF[:, columns])
            assert macro is not None, "measure_shares asks for nothing that cannot be chosen"
            tried.append((macro, strength, heads))
        macro, strength, heads = max(tried, key=lambda one: one[0])  # of equals the strongest
        chosen = {"inverse_regularisation": strength, "validation_macro_auroc": macro}
        return Fitted(_scores(heads, asked_NC), chosen)

    return measure_shares(splits, config, fit)


def _heads(
    features_NC: NDArray[np.float64], labels_NF: NDArray[np.int8], strength: float
) -> list[Any]:
    """A logistic regression a finding, on the images whose label is known."""
    heads = []
    for labels_N in labels_NF.T:
        known = labels_N != UNKNOWN
        head = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
        heads.append(head.fit(features_NC[known], labels_N[known]))
    return heads


def _scores(heads: Sequence[Any], features_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([head.decision_function(features_NC) for head in heads], axis=1)
