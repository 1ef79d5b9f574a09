"""What a user fills in to measure a model beyond zero-shot classification."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from flows.plans import Name, PainterConfig, Plan
from models.downstream.dense_configs import DetectionConfig, SegmentationConfig
from models.downstream.few_labels import FineTuningConfig, LinearProbeConfig
from models.downstream.grounding import GroundingConfig
from models.downstream.masked_images import MaskOrigin
from models.downstream.retrieval import RetrievalConfig
from models.engines import engine_config
from models.vocabulary.label_lists import LabelList
from storage.records import Split


class CorpusMasks(Plan):
    """Images of a corpus and where its source says that findings are, in the splits of ingest."""

    kind: Literal["corpus"] = "corpus"
    corpus: Name = Field(description="An ingested corpus with masks, or with boxes.")
    masks: Literal[MaskOrigin.DRAWN, MaskOrigin.FILLED_BOXES] = Field(
        MaskOrigin.DRAWN,
        description="drawn: the masks of its source. filled_boxes: its boxes, filled, as MGCA "
        "makes masks of RSNA; looser than what they frame.",
    )


class GroundingTask(Plan):
    """Where findings are, on images painted for evaluation alone, or on a corpus."""

    kind: Literal["grounding"] = "grounding"
    name: Name = Field("phantoms", description="Of the result, in the metrics.")
    labels: CorpusMasks | None = Field(
        None,
        description="A corpus, thresholds chosen on its validation patients; None: phantoms, of "
        "which the numbers of images, the seed and the painter are.",
    )
    num_images: int = Field(400, ge=20, le=100_000, description="Images to measure on.")
    num_validation_images: int = Field(
        400, ge=20, le=100_000, description="Others, to choose thresholds on."
    )
    seed: int = Field(
        0, ge=0, lt=2**62, description="Of the requests; the validation images take the next."
    )
    painter: PainterConfig = Field(
        default_factory=lambda: engine_config("painters", {"kind": "phantom"}),
        validate_default=True,
        description="Must know the masks of what it paints.",
    )
    settings: GroundingConfig = Field(
        default_factory=GroundingConfig, description="How the model is asked."
    )

    @model_validator(mode="after")
    def _corpus_or_painted(self) -> "GroundingTask":
        if self.labels is None:
            return self
        painted = GroundingTask()  # of a plan that was stored all fields are set: see the values
        for one in ("num_images", "num_validation_images", "seed", "painter"):
            if getattr(self, one) != getattr(painted, one):
                raise ValueError(
                    f"grounding on a corpus takes all its images with a mask, got {one} beside it; "
                    "leave that out"
                )
        if self.name == "phantoms":
            raise ValueError(
                "grounding on a corpus needs a name of its own, got 'phantoms'; say name: "
                f"{self.labels.corpus}"
            )
        return self


class RetrievalTask(Plan):
    """The text of an image among others, and the image of a text, in a release."""

    kind: Literal["retrieval"] = "retrieval"
    name: Name = Field(description="Of the result, in the metrics.")
    dataset: Name = Field(description="A dataset with a release.")
    release: int | None = Field(None, ge=1, description="Release to read; None: the newest.")
    split: Literal[Split.VALIDATION, Split.TEST] = Field(
        Split.TEST, description="Whose pairs; those of training would flatter the model."
    )
    max_pairs: int = Field(
        1000, ge=2, le=10_000, description="Pairs to tell apart, drawn where the split has more."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of that draw.")
    settings: RetrievalConfig = Field(
        default_factory=RetrievalConfig, description="Of the interval of each figure."
    )


class CorpusLabels(Plan):
    """Images and labels of a corpus, in the splits that its patients were given at ingest."""

    kind: Literal["corpus"] = "corpus"
    corpus: Name = Field(description="An ingested corpus of labelled images.")
    label_list: LabelList = Field(
        LabelList.CHESTXRAY14, description="What its images are classified by (docs/datasets.md)."
    )


class PhantomLabels(Plan):
    """Images painted for evaluation alone; their truth is the label."""

    kind: Literal["phantoms"] = "phantoms"
    num_train_images: int = Field(1000, ge=20, le=1_000_000, description="To train on.")
    num_validation_images: int = Field(400, ge=20, le=1_000_000, description="To choose by.")
    num_test_images: int = Field(400, ge=20, le=1_000_000, description="To measure on.")
    seed: int = Field(
        0, ge=0, lt=2**62, description="Of the training images; the others take the next two."
    )
    painter: PainterConfig = Field(
        default_factory=lambda: engine_config("painters", {"kind": "phantom"}),
        validate_default=True,
        description="Must know which findings it paints.",
    )


Labels = Annotated[CorpusLabels | PhantomLabels, Field(discriminator="kind")]


class LinearProbeTask(Plan):
    """What the frozen image tower's features say, by logistic regression."""

    kind: Literal["linear_probe"] = "linear_probe"
    name: Name = Field(description="Of the result, in the metrics.")
    labels: Labels = Field(description="What to train, choose and measure on.")
    settings: LinearProbeConfig = Field(
        default_factory=LinearProbeConfig, description="Shares of the labels, and strength."
    )


class FineTuningTask(Plan):
    """What the image tower is worth as a start, trained as a whole."""

    kind: Literal["fine_tuning"] = "fine_tuning"
    name: Name = Field(description="Of the result, in the metrics.")
    labels: Labels = Field(description="What to train, choose and measure on.")
    settings: FineTuningConfig = Field(
        default_factory=FineTuningConfig, description="Shares of the labels, and training."
    )


class SegmentationMasks(CorpusMasks):
    """Images and masks of a corpus, in the splits that its patients were given at ingest.

    An image that is labelled with a finding asked for, and has no mask of it, is left out.
    """

    blank_per_shown: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Training images that show none of the findings, for each that shows one, at "
        "most, drawn by the seed of the settings (MGCA on SIIM: 1); None: all.",
    )


class SegmentationTask(Plan):
    """How well a U-Net on the image tower marks findings, pixel by pixel."""

    kind: Literal["segmentation"] = "segmentation"
    name: Name = Field(description="Of the result, in the metrics.")
    labels: Annotated[SegmentationMasks | PhantomLabels, Field(discriminator="kind")] = Field(
        default_factory=PhantomLabels,
        description="Images to train, choose and measure on; a painter must know its masks.",
    )
    settings: SegmentationConfig = Field(
        description="Findings, shares of the labels, and training."
    )


class CorpusBoxes(Plan):
    """Images and boxes of a corpus, in the splits that its patients were given at ingest.

    An image that is labelled with a finding asked for, and has no box of it, is left out.
    """

    kind: Literal["corpus"] = "corpus"
    corpus: Name = Field(description="An ingested corpus of images, some of them with boxes.")


class DetectionTask(Plan):
    """How well a detector on the image tower frames findings."""

    kind: Literal["detection"] = "detection"
    name: Name = Field(description="Of the result, in the metrics.")
    labels: Annotated[CorpusBoxes | PhantomLabels, Field(discriminator="kind")] = Field(
        description="What to train, choose and measure on; phantoms are framed by their masks."
    )
    settings: DetectionConfig = Field(description="Findings, shares of the labels, and training.")


DownstreamTask = Annotated[
    GroundingTask
    | RetrievalTask
    | LinearProbeTask
    | FineTuningTask
    | SegmentationTask
    | DetectionTask,
    Field(discriminator="kind"),
]
