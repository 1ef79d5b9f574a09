from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.downstream.labelled_images import LabelledImages
from models.downstream.zero_shot import (
    PromptStyle,
    ZeroShotConfig,
    evaluate_zero_shot,
    prompt_terms,
    zero_shot_scores,
)
from models.vocabulary.findings import Finding
from models.vocabulary.label_lists import find_label

PLAIN = ZeroShotConfig(prompt_styles=(PromptStyle.FINDING,), terms="canonical")


class KnowingModel:
    """Reads a finding from the pixel of its number; texts are axes, denials their opposites."""

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise
        self.asked: list[str] = []

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        random = np.random.default_rng(0)
        rows = np.array([image.ravel()[: len(Finding)] for image in images], dtype=float)
        rows = rows / 255 + self.noise * random.normal(size=rows.shape) + 0.01
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def knows(self, text: str) -> bool:
        return text == "effusion"

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.stack([self._axis(text) for text in texts]).astype(np.float32)

    def _axis(self, text: str) -> NDArray[np.float64]:
        column = next(k for k, f in enumerate(Finding) if _names(f, text.lower()))
        sign = -1 if "no " in text.lower() else 1
        return sign * np.eye(len(Finding))[column]


def _names(finding: Finding, text: str) -> bool:
    return finding.term in text or (finding is Finding.EFFUSION and "effusion" in text)


def labelled(num_images: int = 60, views: tuple[str, ...] = ()) -> LabelledImages:
    random = np.random.default_rng(5)
    labels = (random.random((num_images, len(Finding))) < 0.3).astype(np.int8)
    images = [np.resize(row.astype(np.uint8) * 255, (4, 4)) for row in labels]
    groups = tuple(f"patient {k // 2}" for k in range(num_images))
    return LabelledImages("set", images, labels, groups, views)


def test_prompt_styles_are_those_of_the_papers() -> None:
    term = Finding.EFFUSION.term
    assert PromptStyle.FINDING.prompts(term) == ("pleural effusion", "no pleural effusion")
    assert PromptStyle.THERE_IS.prompts(term) == (
        "There is pleural effusion.",
        "There is no pleural effusion.",
    )


def test_scores_are_the_softmax_over_the_two_cosines() -> None:
    data = labelled(5)
    scores = zero_shot_scores(KnowingModel(), data.images, data.findings, PLAIN)
    cosines = KnowingModel().encode_images(data.images).astype(float)
    expected = np.exp(cosines) / (np.exp(cosines) + np.exp(-cosines))
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_evaluate_knowing_model_is_perfect_and_noise_is_not() -> None:
    perfect = evaluate_zero_shot(KnowingModel(), labelled(), ZeroShotConfig())
    assert perfect.macro_auroc == pytest.approx(1)
    noisy = evaluate_zero_shot(KnowingModel(noise=1.0), labelled(), ZeroShotConfig())
    assert noisy.macro_auroc is not None
    assert noisy.interval is not None
    assert 0.5 < noisy.macro_auroc < 0.99
    assert noisy.interval.low < noisy.macro_auroc < noisy.interval.high


def test_evaluate_macro_is_the_mean_of_scikit_learns_values() -> None:
    data, model = labelled(), KnowingModel(noise=0.5)
    result = evaluate_zero_shot(model, data, PLAIN)
    scores = zero_shot_scores(model, data.images, data.findings, PLAIN)
    expected = [roc_auc_score(data.labels_NF[:, k], scores[:, k]) for k in range(len(Finding))]
    assert [result.per_finding[f].auroc for f in Finding] == pytest.approx(expected)
    assert result.macro_auroc == pytest.approx(np.mean(expected))


def test_evaluate_undefined_finding_is_none_with_reason_and_outside_the_macro() -> None:
    data = labelled()
    data.labels_NF[:, 7] = 0
    data.labels_NF[:, 8] = -1
    result = evaluate_zero_shot(KnowingModel(), data, ZeroShotConfig())
    hernia, infiltration = (
        result.per_finding[Finding.HERNIA],
        result.per_finding[Finding.INFILTRATION],
    )
    assert hernia.auroc is None
    assert hernia.interval is None
    assert hernia.reason == "undefined: no image is labelled present"
    assert infiltration.auroc is None
    assert result.macro_auroc == pytest.approx(1)
    assert result.as_dict()["per_finding"]["Hernia"]["auroc"] is None


def test_evaluate_nothing_defined_gives_no_macro() -> None:
    data = labelled()
    data.labels_NF[:] = 0
    result = evaluate_zero_shot(KnowingModel(), data, ZeroShotConfig())
    assert result.macro_auroc is None
    assert result.interval is None


def test_evaluate_views_are_scored_apart() -> None:
    views = tuple("PA" if k % 3 else "AP" for k in range(60))
    result = evaluate_zero_shot(KnowingModel(noise=1.0), labelled(views=views), ZeroShotConfig())
    assert {view: part.num_images for view, part in result.per_view.items()} == {"AP": 20, "PA": 40}
    assert result.per_view["AP"].macro_auroc != result.per_view["PA"].macro_auroc


def test_evaluate_ensemble_asks_in_every_style() -> None:
    model = KnowingModel()
    config = ZeroShotConfig(prompt_styles=(PromptStyle.FINDING, PromptStyle.THERE_IS))
    evaluate_zero_shot(model, labelled(), config)
    assert "no hiatal hernia" in model.asked
    assert "There is no hiatal hernia." in model.asked


def test_prompt_terms_are_the_synonyms_that_the_model_can_read() -> None:
    model = KnowingModel()
    assert prompt_terms(model, Finding.EFFUSION, "canonical") == ["pleural effusion"]
    assert prompt_terms(model, Finding.EFFUSION, "synonyms") == ["pleural effusion", "effusion"]
    assert prompt_terms(model, Finding.HERNIA, "synonyms") == ["hiatal hernia"]


def test_result_as_dict_has_what_checks_rely_on() -> None:
    result = evaluate_zero_shot(KnowingModel(noise=1.0), labelled(), ZeroShotConfig()).as_dict()
    assert set(result) >= {"macro_auroc", "ci95", "per_finding", "num_images", "num_patients"}
    low, high = result["ci95"]
    assert low < result["macro_auroc"] < high
    assert result["num_patients"] == 30


def test_evaluate_no_images_raises() -> None:
    empty = LabelledImages("none", [], np.zeros((0, 14), np.int8), ())
    with pytest.raises(ValueError, match="'none' must hold images"):
        evaluate_zero_shot(KnowingModel(), empty, ZeroShotConfig())


def test_labelled_images_wrong_shapes_and_labels_are_refused() -> None:
    images = [np.zeros((4, 4), np.uint8)]
    with pytest.raises(ValueError, match=r"\(1, 14\), got \(2, 14\)"):
        LabelledImages("x", images, np.zeros((2, 14), np.int8), ("a",))
    with pytest.raises(ValueError, match="must have a group"):
        LabelledImages("x", images, np.zeros((1, 14), np.int8), ())
    with pytest.raises(ValueError, match=r"got \[5\]"):
        LabelledImages("x", images, np.full((1, 14), 5, np.int8), ("a",))


def test_prompts_of_a_label_that_is_no_finding_are_its_own_words() -> None:
    class Reader(KnowingModel):
        def knows(self, text: str) -> bool:
            return "metallic" not in text

    label = find_label("Foreign Object")
    assert prompt_terms(Reader(), label, "canonical") == ["foreign object"]
    assert prompt_terms(Reader(), label, "synonyms") == ["foreign object", "foreign body"]
