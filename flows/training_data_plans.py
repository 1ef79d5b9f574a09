"""What a user fills in to train on several sources: which, how much of each, in which order."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from flows.plans import ImageGateConfig, Name, Plan
from models.vlp.phases import Batches, PhaseWeights
from storage.review_rules import ReviewRules
from tasks.corpus_pairs import CorpusPairs
from tasks.release_pairs import ReleasePairs
from tasks.training_mixture import MixtureParts

_WEIGHT = Field(
    1.0,
    gt=0,
    le=1_000_000,
    description="Share of the phase's pairs, relative to the weights of its other sources.",
)
_MAX_PAIRS = Field(
    None,
    ge=2,
    le=1_000_000_000,
    description="Training pairs to take at most, drawn by draw_seed; None: all.",
)
_DRAW_SEED = Field(0, ge=0, lt=2**63, description="Of the draw that max_pairs asks for.")


class ReleaseSource(Plan):
    """Pairs that the factory made: a release of a dataset."""

    kind: Literal["release"] = "release"
    dataset: Name = Field(description="A dataset with a release.")
    release: int | None = Field(None, ge=1, description="Release to read; None: the newest.")
    slice: Name | None = Field(
        None, description="A saved slice of the release; None: all of it. It names its release."
    )
    reviews: ReviewRules = Field(
        default_factory=ReviewRules,
        description="What people's decisions leave out, as far as the release names them.",
    )
    weight: float = _WEIGHT
    max_pairs: int | None = _MAX_PAIRS
    draw_seed: int = _DRAW_SEED

    def pairs(self) -> ReleasePairs:
        """What it names, its weight apart."""
        return ReleasePairs(
            self.dataset, self.release, self.slice, self.reviews, self.max_pairs, self.draw_seed
        )


class CorpusSource(Plan):
    """Real images of an ingested corpus's training patients.

    With `max_pairs` whole patients are taken, so that it may be a few pairs less.
    """

    kind: Literal["corpus"] = "corpus"
    corpus: Name = Field(description="An ingested corpus of images.")
    text: Literal["reports", "labels"] = Field(
        "reports",
        description="reports: the images' own reports; images without one are left out. labels: "
        "a report written from each image's labels by the grammar, for a corpus without reports.",
    )
    audited_by: tuple[ImageGateConfig, ...] = Field(
        (),
        description="Gates whose audit of the corpus (cxr-factory audit) is obeyed: images that "
        "it rejected are left out. None named: all images are taken.",
    )
    weight: float = _WEIGHT
    max_pairs: int | None = _MAX_PAIRS
    draw_seed: int = _DRAW_SEED

    def pairs(self) -> CorpusPairs:
        """What it names, its weight apart."""
        return CorpusPairs(self.corpus, self.text, self.audited_by, self.max_pairs, self.draw_seed)


TrainingSource = Annotated[ReleaseSource | CorpusSource, Field(discriminator="kind")]


class Phase(Plan):
    """A part of the training: which sources it shows, and whether its batches mix them."""

    share: float = Field(1.0, gt=0, le=1, description="Of all optimiser steps.")
    sources: tuple[TrainingSource, ...] = Field(
        min_length=1, max_length=64, description="Shown by their weights."
    )
    batches: Batches = Field(
        "mixed",
        description="mixed: every batch holds each source's share. one_source: every batch is of "
        "one source, in turn, so that no pair is told from another by its source.",
        exclude_if=lambda batches: batches == "mixed",  # content of older plans is unchanged
    )

    @model_validator(mode="after")
    def _each_source_once(self) -> "Phase":
        named = [source.pairs() for source in self.sources]
        twice = next((one for number, one in enumerate(named) if one in named[:number]), None)
        if twice is not None:
            name = twice.dataset if isinstance(twice, ReleasePairs) else twice.corpus
            raise ValueError(
                f"sources of a phase must differ, got {name!r} twice; give it one entry, "
                "with the weight of both"
            )
        return self

    def weight_of(self, pairs: ReleasePairs | CorpusPairs) -> float:
        """Of a source in this phase; 0 where it is not in it."""
        weights = (source.weight for source in self.sources if source.pairs() == pairs)
        return next(weights, 0.0)


class Mixture(Plan):
    """Several sources: one phase mixes them, phases one after another show them in turn.

    Real with synthetic is one phase of two sources; synthetic, then real is two phases of one.
    """

    phases: tuple[Phase, ...] = Field(
        min_length=1, max_length=64, description="In their order; their shares sum to 1."
    )

    @model_validator(mode="after")
    def _shares_make_a_whole(self) -> "Mixture":
        total = math.fsum(phase.share for phase in self.phases)
        if abs(total - 1) > 1e-3:  # three times 0.333 is meant as a whole
            raise ValueError(
                f"shares of the phases must sum to 1, got {total:.6g}; change one of them"
            )
        return self

    def parts(self) -> MixtureParts:
        """The same as tasks take it: each source once, and its weight in every phase."""
        named = [source.pairs() for phase in self.phases for source in phase.sources]
        sources = [one for number, one in enumerate(named) if one not in named[:number]]
        phases = [
            PhaseWeights(phase.share, tuple(phase.weight_of(one) for one in sources), phase.batches)
            for phase in self.phases
        ]
        return MixtureParts(tuple(sources), tuple(phases))
