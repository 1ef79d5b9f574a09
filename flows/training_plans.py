"""What a user fills in to train a model, and to measure it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from flows.downstream_plans import DownstreamTask
from flows.plans import Name, PainterConfig, Plan
from flows.training_data_plans import Mixture
from models.downstream.zero_shot import ZeroShotConfig
from models.engines import engine_config
from models.vlp.configs import PretrainingConfig
from models.vocabulary.label_lists import LabelList
from storage.records import Split
from storage.review_rules import ReviewRules


class PretrainPlan(Plan):
    """A model to train, on a release or on a mixture of sources."""

    name: Name = Field(
        description="Of the model; the run is named <name>-r<release>, of a mixture "
        "<name>-mix-r<release>-r<release>… with the releases among its sources."
    )
    dataset: Name | None = Field(
        None, description="A dataset with a release; None where a mixture is named."
    )
    release: int | None = Field(None, ge=1, description="Release to read; None: the newest.")
    slice: Name | None = Field(
        None, description="A saved slice of the release; None: all of it. It names its release."
    )
    reviews: ReviewRules = Field(
        default_factory=ReviewRules,
        description="What people's decisions leave out, as far as the release names them.",
    )
    mixture: Mixture | None = Field(
        None,
        description="Several releases and corpora in place of the dataset, each with a release, "
        "slice and reviews of its own.",
    )
    model: PretrainingConfig = Field(
        default_factory=PretrainingConfig, description="Objective, towers and training."
    )

    @model_validator(mode="after")
    def _dataset_or_mixture(self) -> "PretrainPlan":
        if (self.dataset is None) == (self.mixture is None):
            named = "neither" if self.dataset is None else f"both (dataset {self.dataset!r})"
            raise ValueError(f"a training needs a dataset or a mixture, got {named}; name one")
        beside = (self.release, self.slice, self.reviews) != (None, None, ReviewRules())
        if self.mixture is not None and beside:
            raise ValueError(
                "release, slice and reviews of a mixture are its sources', got some beside it; "
                "move them there"
            )
        return self


class PhantomSet(Plan):
    """Images painted for evaluation alone, by a painter that places findings by entity."""

    kind: Literal["phantoms"] = "phantoms"
    name: Name = Field("phantoms", description="Of the set, in the metrics.")
    num_images: int = Field(400, ge=20, le=1_000_000, description="Images to paint.")
    seed: int = Field(0, ge=0, lt=2**63, description="Of the requests; never a dataset's.")
    painter: PainterConfig = Field(
        default_factory=lambda: engine_config("painters", {"kind": "phantom"}),
        validate_default=True,
        description="Must know which findings it paints.",
    )


class CorpusSet(Plan):
    """Real images of an ingested corpus, with its labels."""

    kind: Literal["corpus"] = "corpus"
    name: Name = Field(description="Of the set, in the metrics.")
    corpus: Name = Field(description="An ingested corpus of labelled images.")
    label_list: LabelList = Field(
        LabelList.CHESTXRAY14, description="What its images are classified by (docs/datasets.md)."
    )
    split: Split | None = Field(
        Split.TEST,
        description="Patients to evaluate on; None: all of them, for a corpus nothing learnt from.",
    )


EvaluationSet = Annotated[PhantomSet | CorpusSet, Field(discriminator="kind")]


class EvaluatePlan(Plan):
    """What to measure a trained model on."""

    run: Name = Field(description="Name of the model run to evaluate.")
    sets: tuple[EvaluationSet, ...] = Field((), description="Sets to classify, zero-shot.")
    zero_shot: ZeroShotConfig = Field(
        default_factory=ZeroShotConfig, description="How the model is asked, and how sure it is."
    )
    tasks: tuple[DownstreamTask, ...] = Field((), description="What else to measure.")

    @model_validator(mode="after")
    def _something_each_once(self) -> "EvaluatePlan":
        named = [("sets", one.name) for one in self.sets]
        named += [(task.kind, task.name) for task in self.tasks]
        if not named:
            raise ValueError("an evaluation needs sets or tasks, got neither; name one of them")
        twice = next((one for number, one in enumerate(named) if one in named[:number]), None)
        if twice:
            raise ValueError(f"names must differ, got {twice[1]!r} twice in {twice[0]}; rename one")
        return self
