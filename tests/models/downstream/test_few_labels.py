"""Linear probe and fine-tuning at shares of the labels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from models.downstream.few_labels import FineTuningConfig, LinearProbeConfig, SharesConfig
from models.downstream.fine_tuning import evaluate_fine_tuning, label_loss
from models.downstream.labelled_splits import LabelledSplits, draw_order, drawn_rows
from models.downstream.linear_probe import evaluate_linear_probe
from models.vlp.configs import ImageTowerConfig, PretrainingConfig, TextTowerConfig
from models.vlp.model import VisionLanguageModel
from models.vlp.tokenizer import WordTokenizer
from models.vocabulary.findings import Finding

from .label_sets import FINDINGS, splits

PROBE = LinearProbeConfig(shares=(0.1, 1.0), num_resamples=100)


class RowMeans:
    """The mean of every fourth row: a finding is a bright bar."""

    def pooled_features(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.stack([image.mean(axis=1)[2::4] for image in images]).astype(np.float32)


@pytest.fixture
def tiny_model() -> VisionLanguageModel:
    torch.manual_seed(0)
    config = PretrainingConfig(
        image_tower=ImageTowerConfig(image_size_px=32, width=8),
        text_tower=TextTowerConfig(width=16, num_layers=1, num_heads=2),
    )
    return VisionLanguageModel(config, WordTokenizer.train(["no effusion"], 10, 1)).eval()


def plain_probe(whole: LabelledSplits, share: float, column: int, strength: float) -> float:
    """Test AUROC of scikit-learn's own pipeline."""
    rows = drawn_rows(whole.train, draw_order(whole.train, 0), share)
    encode = RowMeans().pooled_features
    train, test = encode([whole.train.images[row] for row in rows]), encode(whole.test.images)
    scaler = StandardScaler().fit(train)
    head = LogisticRegression(C=strength, max_iter=5000)
    head.fit(scaler.transform(train), whole.train.labels_NF[rows, column])
    scores = head.decision_function(scaler.transform(test))
    return float(roc_auc_score(whole.test.labels_NF[:, column], scores))


def test_probe_is_scikit_learns_pipeline_at_the_strength_validation_chose() -> None:
    whole = splits()
    result = evaluate_linear_probe(RowMeans(), whole, PROBE)
    assert [one.share for one in result.shares] == [0.1, 1.0]
    for one in result.shares:
        values = []
        for column, finding in enumerate(FINDINGS):
            score = one.classified.per_finding[finding]
            if score.auroc is None:
                continue
            strength = one.chosen["inverse_regularisation"]
            values.append(plain_probe(whole, one.share, column, strength))
            assert score.auroc == pytest.approx(values[-1], abs=2e-3)
        assert one.classified.macro_auroc == pytest.approx(np.mean(values), abs=2e-3)
    full = result.shares[-1].classified
    assert full.macro_auroc is not None
    assert full.interval is not None
    assert 0.9 < full.macro_auroc <= 1
    assert full.interval.low <= full.macro_auroc <= full.interval.high


def test_finding_without_both_classes_to_train_on_is_undefined_and_outside_the_macro() -> None:
    whole = splits()
    whole.train.labels_NF[:, 2] = 0
    (full,) = evaluate_linear_probe(
        RowMeans(), whole, PROBE.model_copy(update={"shares": (1.0,)})
    ).shares
    hernia = full.classified.per_finding[Finding.HERNIA]
    assert hernia.auroc is None
    assert hernia.reason == "undefined: no image to train on is labelled present"
    others = [full.classified.per_finding[finding].auroc for finding in FINDINGS[:2]]
    assert full.classified.macro_auroc == pytest.approx(np.mean([v for v in others if v]))


def test_unknown_labels_are_neither_trained_nor_measured_on() -> None:
    whole = splits()
    first, second = (
        evaluate_linear_probe(RowMeans(), whole, PROBE.model_copy(update={"shares": (1.0,)}))
        for whole in (whole, _without(whole, column=0))
    )
    edema = second.shares[0].classified.per_finding[Finding.EDEMA]
    assert edema.num_positives + edema.num_negatives == 30
    assert edema.auroc is not None
    mass = [one.shares[0].classified.per_finding[Finding.MASS].auroc for one in (first, second)]
    assert None not in mass


def _without(whole: LabelledSplits, column: int) -> LabelledSplits:
    def halved(labels_NF: NDArray[np.int8]) -> NDArray[np.int8]:
        changed = labels_NF.copy()
        changed[::2, column] = -1
        return changed

    return LabelledSplits(
        *(
            replace(one, labels_NF=halved(one.labels_NF))
            for one in (whole.train, whole.validation, whole.test)
        )
    )


def test_draw_that_teaches_nothing_is_undefined_not_a_half() -> None:
    """One image in 120 has a finding, and the draw of two patients is without it."""
    whole = splits()
    whole.train.labels_NF[:] = 0
    whole.train.labels_NF[7, 0] = 1
    config = PROBE.model_copy(update={"shares": (1e-6,)})
    (small,) = evaluate_linear_probe(RowMeans(), whole, config).shares
    assert small.num_patients == 2
    assert small.classified.macro_auroc is None
    assert small.chosen == {}
    reasons = {score.reason for score in small.classified.per_finding.values()}
    assert reasons == {"undefined: no image to train on is labelled present"}


def test_nothing_to_choose_by_is_undefined() -> None:
    whole = splits()
    whole.train.labels_NF[:, 1:] = 0
    whole.validation.labels_NF[:, 0] = 0
    config = PROBE.model_copy(update={"shares": (1.0,)})
    (full,) = evaluate_linear_probe(RowMeans(), whole, config).shares
    assert full.classified.macro_auroc is None
    reason = full.classified.per_finding[Finding.EDEMA].reason
    assert reason == "undefined: validation patients have one class only of what was trained on"


def test_pooled_features_are_the_towers_whatever_the_batch(
    tiny_model: VisionLanguageModel,
) -> None:
    images = splits().test.images[:7]
    whole, parts = (tiny_model.pooled_features(images, batch_size=size) for size in (7, 2))
    assert whole.shape == (7, 2 * 8 * 8)  # narrow-resnet: mean and maximum of 8 x width
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    assert len(tiny_model.pooled_features([])) == 0


@pytest.mark.parametrize("shares", [(), (0.0, 1.0), (0.5, 0.1), (0.5, 1.5), (1.0, 1.0)])
def test_shares_that_do_not_rise_within_bounds_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="shares"):
        SharesConfig(shares=shares)


def test_label_loss_is_the_mean_over_known_labels() -> None:
    logits = torch.tensor([[0.3, -1.0], [2.0, 0.5]])
    labels = torch.tensor([[1, -1], [0, 1]], dtype=torch.int8)
    known = [(0.3, 1.0), (2.0, 0.0), (0.5, 1.0)]
    each = [
        functional.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor(y)).item()
        for x, y in known
    ]
    assert label_loss(logits, labels).item() == pytest.approx(np.mean(each))
    assert label_loss(logits, torch.full_like(labels, -1)).item() == 0


def test_fine_tuning_learns_what_shows_repeatably_and_leaves_the_model_alone(
    tiny_model: VisionLanguageModel,
) -> None:
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    config = FineTuningConfig(
        shares=(1.0,),
        steps=60,
        validate_every_steps=10,
        num_resamples=100,
        learning_rate=5e-3,
        batch_size=16,
        device="cpu",
    )
    first, second = (evaluate_fine_tuning(tiny_model, splits(), config) for _ in range(2))
    assert first.as_dict() == second.as_dict()
    macro = first.shares[0].classified.macro_auroc
    assert macro is not None
    assert macro > 0.8
    assert first.shares[0].chosen["step"] % 10 == 0
    after = tiny_model.state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())


def test_fine_tuning_whose_loss_is_no_number_says_what_to_lower(
    tiny_model: VisionLanguageModel,
) -> None:
    with torch.no_grad():
        next(tiny_model.image_tower.parameters()).fill_(float("nan"))
    config = FineTuningConfig(shares=(1.0,), steps=5, num_resamples=100, device="cpu")
    with pytest.raises(ValueError, match="must be finite, got nan at step 1; lower learning_rate"):
        evaluate_fine_tuning(tiny_model, splits(), config)
