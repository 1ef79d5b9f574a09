"""Zero-shot classification: each finding's prompt against its denial.

Shape suffixes: N images, F findings, D embedding, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.downstream.finding_scores import FindingScore, Resampling, classify
from models.downstream.labelled_images import LabelledImages
from models.downstream.metrics import Interval, bounds
from models.downstream.scored_images import ScoredImages, scored_images
from models.vocabulary.label_lists import Label, synonyms_of


class PromptStyle(StrEnum):
    """How a finding is put into words, present and absent."""

    FINDING = "finding"  # CheXzero: "{finding}" against "no {finding}"
    THERE_IS = "there is"  # "There is {finding}." against "There is no {finding}."

    def prompts(self, term: str) -> tuple[str, str]:
        """The text that states the finding and the text that denies it."""
        if self is PromptStyle.FINDING:
            return term, f"no {term}"
        return f"There is {term}.", f"There is no {term}."


class ImageTextEncoder(Protocol):
    """What an evaluation asks of a model: both halves in one space, unit norm."""

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embeddings of grey images of any size, (N, D)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of texts, (N, D)."""
        ...

    def knows(self, text: str) -> bool:
        """True if training text held every word of it."""
        ...


class ZeroShotConfig(BaseModel):
    """How a model is asked and how sure the answer is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt_styles: tuple[PromptStyle, ...] = Field(
        tuple(PromptStyle),
        min_length=1,
        description="finding (CheXzero) or there is; the scores of several are averaged",
    )
    terms: Literal["canonical", "synonyms"] = Field(
        "synonyms",
        description="Name a finding by its one canonical term, or by the mean of all its synonyms",
    )
    num_resamples: int = Field(
        1000, ge=100, le=100_000, description="Bootstrap resamples of patients"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of the resamples")


@dataclass(frozen=True, slots=True)
class ZeroShotResult:
    """Zero-shot classification of one set.

    Attributes:
        name: The set's.
        num_images: N.
        num_patients: Groups of the bootstrap.
        macro_auroc: Mean over the findings that have both classes; None if none has.
        interval: 95 % over patients, of the macro mean.
        per_finding: Every finding, undefined ones included.
        per_view: The same for each projection, where views are known.
        config: How it was asked.
        scored: What each image was given; empty for one view alone.
    """

    name: str
    num_images: int
    num_patients: int
    macro_auroc: float | None
    interval: Interval | None
    per_finding: dict[Label, FindingScore]
    config: ZeroShotConfig
    per_view: "dict[str, ZeroShotResult]" = field(default_factory=dict)
    scored: tuple[ScoredImages, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return {
            "macro_auroc": self.macro_auroc,
            "ci95": bounds(self.interval),
            "num_images": self.num_images,
            "num_patients": self.num_patients,
            "prompts": self.config.model_dump(mode="json"),
            "per_finding": {key.value: value.as_dict() for key, value in self.per_finding.items()},
            "per_view": {view: result.as_dict() for view, result in self.per_view.items()},
        }


def prompt_terms(
    model: ImageTextEncoder, finding: Label, terms: Literal["canonical", "synonyms"]
) -> list[str]:
    """What a finding is called in prompts, the canonical term first.

    Synonyms with a word that training text never held are left out: the model cannot read them.
    """
    if terms == "canonical":
        return [finding.term]
    return [finding.term, *(name for name in synonyms_of(finding) if model.knows(name))]


def zero_shot_scores(
    model: ImageTextEncoder,
    images: Sequence[NDArray[np.uint8]],
    findings: Sequence[Label],
    config: ZeroShotConfig,
) -> NDArray[np.float64]:
    """Probability of each finding in each image: softmax over two cosines, styles averaged, (N, F).

    Source: Tiu et al. 2022 (CheXzero), prompts and softmax; Radford et al. 2021 (CLIP), the mean
    embedding of several prompts for one class.
    """
    images_ND = model.encode_images(images).astype(np.float64)
    names = [prompt_terms(model, finding, config.terms) for finding in findings]
    scores_NF = np.zeros((len(images), len(findings)))
    for style in config.prompt_styles:
        pairs = [[style.prompts(name) for name in terms] for terms in names]
        stated_FD = _classes(model, [[stated for stated, _ in terms] for terms in pairs])
        denied_FD = _classes(model, [[denied for _, denied in terms] for terms in pairs])
        margin_NF = images_ND @ (stated_FD - denied_FD).T
        scores_NF += 1 / (1 + np.exp(-margin_NF))  # a softmax over two is a sigmoid of the margin
    return scores_NF / len(config.prompt_styles)


def _classes(model: ImageTextEncoder, prompts: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Unit mean embedding of each class's prompts, (F, D)."""
    means_FD = np.stack([model.encode_texts(texts).astype(np.float64).mean(0) for texts in prompts])
    unit_FD: NDArray[np.float64] = means_FD / np.linalg.norm(means_FD, axis=1, keepdims=True)
    return unit_FD


def evaluate_zero_shot(
    model: ImageTextEncoder, labelled: LabelledImages, config: ZeroShotConfig
) -> ZeroShotResult:
    """AUROC per finding and their macro mean, with bootstrap intervals over patients.

    Args:
        model: Both towers.
        labelled: Images with their truth.
        config: Prompts and resamples.

    Raises:
        ValueError: If there are no images.
    """
    if not labelled.images:
        raise ValueError(f"{labelled.name!r} must hold images to evaluate on, got none")
    scores_NF = zero_shot_scores(model, labelled.images, labelled.findings, config)
    whole = replace(
        _score(labelled, scores_NF, np.arange(len(labelled.images)), config),
        scored=(scored_images(labelled, scores_NF),),
    )
    views = np.asarray(labelled.views)
    whole.per_view.update(
        {
            str(view): _score(labelled, scores_NF, np.flatnonzero(views == view), config)
            for view in np.unique(views)
        }
    )
    return whole


def _score(
    labelled: LabelledImages,
    scores_NF: NDArray[np.float64],
    chosen: NDArray[np.int64],
    config: ZeroShotConfig,
) -> ZeroShotResult:
    groups = [labelled.groups[row] for row in chosen]
    classified = classify(
        scores_NF[chosen],
        labelled.labels_NF[chosen],
        groups,
        labelled.findings,
        Resampling(config.num_resamples, config.seed),
    )
    return ZeroShotResult(
        name=labelled.name,
        num_images=len(chosen),
        num_patients=len(set(groups)),
        macro_auroc=classified.macro_auroc,
        interval=classified.interval,
        per_finding=classified.per_finding,
        config=config,
    )
