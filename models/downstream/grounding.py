"""Zero-shot grounding: does the map of a finding's phrase lie where the finding is?

Every threshold is chosen on a validation draw. Beside the model stands a fixed map: the mean mask
of the finding over the validation draw, which knows where a finding mostly is and sees no image.

Shape suffixes: M measures, N images, F findings, R resamples, H and W an image's sides in px.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.downstream.map_scores import (
    best_threshold,
    on_image,
    overlap,
    pointing_game,
    resized,
)
from models.downstream.masked_images import MaskedImages
from models.downstream.metrics import (
    CONFIDENCE,
    Figure,
    drawn_figure,
    macro_draws,
    metric_name,
    percentile_interval,
    resample_weights,
    resampled_means,
)
from models.downstream.zero_shot import PromptStyle
from models.vocabulary.findings import Finding

FIXED_SIDE_PX = 64  # side of the fixed map; finer than the regions of any image tower here


class MapSource(StrEnum):
    """Where a map comes from."""

    WORDS = "words"  # cosines of the phrase's words with regions: gloria, mgca
    GRADIENT = "gradient"  # what each region adds to the cosine of image and phrase: any objective


class GroundingModel(Protocol):
    """What grounding asks of a model."""

    def gradient_map(self, image: NDArray[np.uint8], text: str) -> NDArray[np.float32]:
        """How much each region of an image's padded square brings the image nearer to a text."""
        ...

    def similarity_map(self, image: NDArray[np.uint8], text: str) -> NDArray[np.float32]:
        """How well each region of an image's padded square fits a text; raises if it has none."""
        ...


class GroundingConfig(BaseModel):
    """How a model is asked, and how sure the answer is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt_style: PromptStyle = Field(
        PromptStyle.FINDING,
        description="How a finding is named: finding, its term alone, or there is, a sentence",
    )
    maps: MapSource = Field(
        MapSource.WORDS,
        description="words: cosines of the phrase's words with regions (gloria, mgca); gradient: "
        "HiResCAM of the cosine of image and phrase (any objective)",
    )
    num_resamples: int = Field(
        1000, ge=100, le=100_000, description="Bootstrap resamples of images"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of the resamples")

    def judgeable(self) -> list[str]:
        """Names of the figures that a study may judge."""
        return [metric_name(measure) for measure in JUDGED]


class Measure(StrEnum):
    """What is measured of each finding in each image, all 0 to 1 but the gain, -1 to 1."""

    POINTING_GAME = "pointing_game"
    IOU = "iou"
    DICE = "dice"
    FIXED_POINTING_GAME = "fixed_map_pointing_game"
    FIXED_IOU = "fixed_map_iou"
    FIXED_DICE = "fixed_map_dice"
    CHANCE = "chance_pointing_game"  # the mask's share of the image
    GAIN = "pointing_game_gain"  # over the fixed map, image by image


# The higher, the better the model; the fixed map and chance see none.
JUDGED = (Measure.POINTING_GAME, Measure.IOU, Measure.DICE, Measure.GAIN)


@dataclass(frozen=True, slots=True)
class FindingGrounding:
    """One finding's result.

    Attributes:
        num_images: Test images in which it can be seen.
        threshold: On the model's map, chosen on the validation draw; None where undefined.
        figures: Empty where undefined; `reason` then says why.
    """

    num_images: int
    threshold: float | None
    figures: Mapping[Measure, Figure]
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        figures = {str(measure): figure.as_dict() for measure, figure in self.figures.items()}
        head = {"num_images": self.num_images, "threshold": self.threshold}
        return head | figures | {"reason": self.reason}


@dataclass(frozen=True, slots=True)
class GroundingResult:
    """Zero-shot grounding of one set.

    Attributes:
        num_images: Test images, those without a finding included.
        num_validation_images: Images that thresholds and fixed maps were made on.
        macro: Mean over the findings that are defined; empty if none is.
        per_finding: Every finding, undefined ones included.
        config: How it was asked.
    """

    num_images: int
    num_validation_images: int
    macro: Mapping[Measure, Figure]
    per_finding: Mapping[Finding, FindingGrounding]
    config: GroundingConfig

    def figures(self) -> dict[str, Figure]:
        """What a study compares, by its name there."""
        return {metric_name(measure): figure for measure, figure in self.macro.items()}

    def as_dict(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return {
            "macro": {str(measure): figure.as_dict() for measure, figure in self.macro.items()},
            "num_images": self.num_images,
            "num_validation_images": self.num_validation_images,
            "settings": self.config.model_dump(mode="json"),
            "per_finding": {key.value: one.as_dict() for key, one in self.per_finding.items()},
        }


def evaluate_grounding(
    model: GroundingModel, validation: MaskedImages, test: MaskedImages, config: GroundingConfig
) -> GroundingResult:
    """Pointing game, IoU and Dice per finding and their macro mean, with bootstrap intervals.

    Args:
        model: One that compares words with regions.
        validation: Where thresholds and fixed maps come from; shares no image with the test.
        test: What is measured.
        config: Phrase and resamples.

    Raises:
        ValueError: If the model has no such maps, or the two draws share an image.
    """
    shared = set(validation.groups) & set(test.groups)
    if shared:
        raise ValueError(
            f"validation {validation.name!r} and test {test.name!r} must share no patient, share "
            f"{len(shared)}; draw them with different seeds"
        )
    scored = [_score(model, finding, validation, test, config) for finding in Finding]
    scores_MNF = np.stack([one.scores_MN for one in scored], axis=-1)
    weights_RN = resample_weights(test.groups, config.num_resamples, config.seed)
    resampled_MRF = [resampled_means(scores_NF, weights_RN) for scores_NF in scores_MNF]
    return GroundingResult(
        num_images=len(test.images),
        num_validation_images=len(validation.images),
        macro=_macro(scored, resampled_MRF),
        per_finding={
            finding: one.result([resampled_RF[:, column] for resampled_RF in resampled_MRF])
            for column, (finding, one) in enumerate(zip(Finding, scored, strict=True))
        },
        config=config,
    )


def phrase_maps(
    model: GroundingModel, config: GroundingConfig
) -> Callable[[NDArray[np.uint8], str], NDArray[np.float32]]:
    """What makes a model's map of an image and a phrase; raises, when called, if it cannot."""
    return model.gradient_map if config.maps is MapSource.GRADIENT else model.similarity_map


@dataclass(frozen=True, slots=True)
class _Scored:
    """One finding in every test image, NaN where it is not seen."""

    scores_MN: NDArray[np.float64]
    threshold: float | None = None
    reason: str | None = None

    def means(self) -> dict[Measure, float]:
        seen_N = np.isfinite(self.scores_MN[0])
        return dict(zip(Measure, self.scores_MN[:, seen_N].mean(axis=1).tolist(), strict=True))

    def result(self, resampled_MR: Sequence[NDArray[np.float64]]) -> FindingGrounding:
        num_images = int(np.isfinite(self.scores_MN[0]).sum())
        if self.reason:
            return FindingGrounding(num_images, None, {}, self.reason)
        figures = {
            measure: Figure(mean, percentile_interval(resampled_R, CONFIDENCE))
            for (measure, mean), resampled_R in zip(self.means().items(), resampled_MR, strict=True)
        }
        return FindingGrounding(num_images, self.threshold, figures)


def _score(
    model: GroundingModel,
    finding: Finding,
    validation: MaskedImages,
    test: MaskedImages,
    config: GroundingConfig,
) -> _Scored:
    scores_MN = np.full((len(Measure), len(test.images)), np.nan)
    known, asked = list(validation.showing(finding)), list(test.showing(finding))
    if not known or not asked:
        lacking = "validation" if not known else "test"
        return _Scored(scores_MN, reason=f"undefined: no {lacking} image shows it")
    phrase, _ = config.prompt_style.prompts(finding.term)
    masks = [mask_HW for _, _, mask_HW in known]
    fixed_HW = np.mean(
        [resized(mask_HW, FIXED_SIDE_PX, FIXED_SIDE_PX) for mask_HW in masks], axis=0
    )

    map_of = phrase_maps(model, config)

    def seen(image_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
        return on_image(map_of(image_HW, phrase), *image_HW.shape)

    def fixed(image_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
        return resized(fixed_HW, *image_HW.shape)

    threshold, fixed_threshold = (
        best_threshold([maps(image_HW) for _, image_HW, _ in known], masks)
        for maps in (seen, fixed)
    )
    for number, image_HW, mask_HW in asked:
        of_model = _map_scores(seen(image_HW), mask_HW, threshold)
        of_fixed = _map_scores(fixed(image_HW), mask_HW, fixed_threshold)
        scores_MN[:, number] = [*of_model, *of_fixed, mask_HW.mean(), of_model[0] - of_fixed[0]]
    return _Scored(scores_MN, threshold)


def _map_scores(
    map_HW: NDArray[np.float32], mask_HW: NDArray[np.bool_], threshold: float
) -> tuple[float, float, float]:
    """Pointing game, IoU and Dice, as the first three of `Measure`."""
    found = overlap(map_HW, mask_HW, np.array([threshold]))
    return pointing_game(map_HW, mask_HW), float(found.iou_T[0]), float(found.dice_T[0])


def _macro(
    scored: Sequence[_Scored], resampled_MRF: Sequence[NDArray[np.float64]]
) -> dict[Measure, Figure]:
    means = [one.means() for one in scored if one.reason is None]
    if not means:
        return {}
    return {
        measure: drawn_figure(
            float(np.mean([of_finding[measure] for of_finding in means])), macro_draws(resampled_RF)
        )
        for measure, resampled_RF in zip(Measure, resampled_MRF, strict=True)
    }
