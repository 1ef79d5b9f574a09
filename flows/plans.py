"""What a user fills in to make a dataset: the input Prefect shows as a form, YAML is read into it.

Cross-field rules raise here with one clear line, since Prefect's form does not run them.
`training_plans.py` has what is trained and evaluated, `plan_files.py` reads the files.
"""

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    WithJsonSchema,
    model_validator,
)

from models.engines import EngineConfig, engine_config, engine_form
from models.gates.report import ReportRules
from models.judges.questions import JudgeRules
from models.sampling.patients import PatientMix
from models.sampling.rules import SamplingRules
from models.taggers.configs import HuggingfaceConfig
from models.writers.configs import CorpusReportsConfig

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$",
        description="Lower case letters, digits, - and _; at most 64 characters.",
    ),
]


class Plan(BaseModel):
    """Base of everything a user fills in: no unknown field, no change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


WriterConfig = Annotated[
    SerializeAsAny[EngineConfig],
    BeforeValidator(partial(engine_config, "writers")),
    WithJsonSchema(engine_form("writers")),
]
TaggerConfig = Annotated[
    SerializeAsAny[EngineConfig],
    BeforeValidator(partial(engine_config, "taggers")),
    WithJsonSchema(engine_form("taggers")),
]
PainterConfig = Annotated[
    SerializeAsAny[EngineConfig],
    BeforeValidator(partial(engine_config, "painters")),
    WithJsonSchema(engine_form("painters")),
]
ImageGateConfig = Annotated[
    SerializeAsAny[EngineConfig],
    BeforeValidator(partial(engine_config, "image_gates")),
    WithJsonSchema(engine_form("image_gates")),
]


def _judge(settings: Any) -> EngineConfig | None:
    return None if settings is None else engine_config("judges", settings)


JudgeConfig = Annotated[
    SerializeAsAny[EngineConfig] | None,
    BeforeValidator(_judge),
    WithJsonSchema({"anyOf": [engine_form("judges"), {"type": "null"}]}),
]


class BuiltInEntities(Plan):
    """The project's own vocabulary, each clinical concept as present and as denied."""

    kind: Literal["built-in"] = "built-in"
    num_clinical: int | None = Field(
        None, ge=1, description="Clinical concepts to take, the 14 findings first. None: all."
    )
    num_anatomy: int | None = Field(None, ge=1, description="Anatomy terms to take. None: all.")
    finding_weight: float = Field(
        1.0, gt=0, le=100, description="How often one of the 14 is drawn, relative to the others."
    )


class CorpusEntities(Plan):
    """The entity table of an ingested corpus."""

    kind: Literal["corpus"] = "corpus"
    corpus: Name = Field(description="An ingested corpus with reports.")


EntitySource = Annotated[BuiltInEntities | CorpusEntities, Field(discriminator="kind")]


class AcceptedTarget(Plan):
    """Stop at a number of accepted pairs."""

    accepted: int = Field(ge=1, le=100_000_000, description="Pairs wanted in the release.")
    reserve: int = Field(
        ge=0, le=100_000_000, description="More candidates, used only while accepted pairs lack."
    )

    @property
    def num_candidates(self) -> int:
        """All candidates, reserves included."""
        return self.accepted + self.reserve

    @property
    def num_accepted(self) -> int | None:
        """The number wanted."""
        return self.accepted


class AllTarget(Plan):
    """Release whatever is accepted of a number of candidates."""

    all: int = Field(
        ge=1, le=100_000_000, description="Candidates; every accepted one is released."
    )

    @property
    def num_candidates(self) -> int:
        """All candidates."""
        return self.all

    @property
    def num_accepted(self) -> None:
        """No number is wanted."""
        return None


class SplitShares(Plan):
    """Shares of samples per split, by hash of the sample id."""

    train: float = Field(0.9, ge=0, le=1, description="Share of samples to train on.")
    validation: float = Field(
        0.1, ge=0, le=1, description="Share to choose thresholds and steps on."
    )
    test: float = Field(0.0, ge=0, le=1, description="Share never trained on.")

    @model_validator(mode="after")
    def _sum_to_one(self) -> "SplitShares":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"splits must sum to 1, got {total:g}; lower or raise one of them")
        return self


class ImageRules(Plan):
    """How an image is asked for and what keeps it."""

    prompt: Literal["impression", "findings", "both"] = Field(
        "impression", description="Sections that condition the painter; study 1: the impression."
    )
    max_tries: int = Field(3, ge=1, le=20, description="Tries per image until the gates agree.")
    gates: tuple[ImageGateConfig, ...] = Field(
        default_factory=lambda: (engine_config("image_gates", {"kind": "technical"}),),
        description="Gates every image passes, in order.",
    )
    near_duplicate_max_distance: int | None = Field(
        24,  # models.images.NEAR_DUPLICATE_BITS, calibrated there on copies and other bodies
        ge=0,
        le=64,
        description="Differing bits, of 256, up to which two images count as the same; "
        "compared in index order. None: not compared.",
    )


class ExecutionPlan(Plan):
    """Where and how the work runs; no part of a dataset's identity."""

    dispatch: Literal["inline", "work-pool"] = Field(
        "inline",
        description="Where shards run: in this process one after another, or as runs of their own "
        "in Prefect's work pools.",
    )
    queue: Literal["default", "urgent"] = Field(
        "default", description="Queue of a work pool that shards wait in; urgent ones go first."
    )
    shard_units: int = Field(64, ge=1, le=100_000, description="Units one flow run handles.")
    shard_attempts: int = Field(
        3,
        ge=1,
        le=20,
        description="Runs of a shard in a work pool, as long as one ends with units unsettled.",
    )
    units_in_flight: int = Field(4, ge=1, le=256, description="Units a shard works on at once.")
    unit_retries: int = Field(2, ge=0, le=10, description="Retries of a failed unit.")
    retry_delay_seconds: float = Field(1.0, ge=0, le=3600, description="Before the first retry.")
    unit_timeout_seconds: float = Field(
        3600, gt=0, le=86_400, description="Longest one unit may take."
    )
    batch_timeout_seconds: float = Field(
        600,
        gt=0,
        le=86_400,
        description="Longest one engine batch may take, or the server of a language model give "
        "no answer at all, before it is called hung.",
    )
    max_batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Upper bound on an engine batch, or on the requests that the server of a "
        "language model has at once; None: the engine's own.",
    )
    num_processes: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Engines side by side; None: what the engine asks for. Language models are "
        "asked by one client, which keeps as many requests in flight as max_batch_size allows.",
    )


class DatasetPlan(Plan):
    """A dataset to make: what is drawn, who writes and paints, and what is accepted."""

    name: Name = Field(
        description="Of the dataset: a-z, 0-9, - and _. Another plan under a name that is taken is "
        "refused."
    )
    description: str = Field("", max_length=2000, description="For people; no part of identity.")
    target: AcceptedTarget | AllTarget = Field(
        description="How many pairs: a number accepted, or whatever is accepted of a number drawn."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Everything random derives from it.")
    unit_size: int = Field(
        32,
        ge=1,
        le=4096,
        description="Samples per unit: the batch that fails and is retried whole.",
    )
    entities: EntitySource = Field(
        default_factory=BuiltInEntities, description="Where entities are drawn from."
    )
    sampling: SamplingRules = Field(
        default_factory=SamplingRules, description="How entities are drawn for each report."
    )
    patients: PatientMix = Field(
        default_factory=PatientMix, description="Views, sexes and ages of the patients."
    )
    splits: SplitShares = Field(
        default_factory=SplitShares, description="Which samples are to train on, and which not."
    )
    writer: WriterConfig = Field(description="Who writes the reports, or where real ones are from.")
    tagger: TaggerConfig = Field(
        default_factory=lambda: engine_config("taggers", {"kind": "lexicon"}),
        description="Who reads back which entities a report states.",
    )
    report_rules: ReportRules = Field(
        default_factory=ReportRules, description="Which reports are kept."
    )
    painter: PainterConfig = Field(description="Who paints the images.")
    image_rules: ImageRules = Field(
        default_factory=ImageRules, description="How images are asked for, and which are kept."
    )
    judge: JudgeConfig = Field(
        None, description="Model that is asked study 1's six questions about every image kept."
    )
    judge_rules: JudgeRules = Field(
        default_factory=JudgeRules, description="Which of the judge's answers reject an image."
    )
    execution: ExecutionPlan = Field(
        default_factory=ExecutionPlan,
        description="Where and how the work runs; may differ from run to run.",
    )

    @model_validator(mode="after")
    def _real_reports_draw_nothing(self) -> "DatasetPlan":
        if not isinstance(self.writer, CorpusReportsConfig):
            return self
        unused = {"entities": BuiltInEntities(), "sampling": SamplingRules()}
        unused |= {"splits": SplitShares()}
        said = [name for name, default in unused.items() if getattr(self, name) != default]
        if said:
            raise ValueError(
                f"writer corpus takes real reports, of which {' and '.join(said)} can say nothing; "
                f"remove {' and '.join(said)}, or name a writer that writes"
            )
        return self

    @model_validator(mode="after")
    def _rules_have_a_judge(self) -> "DatasetPlan":
        if self.judge is None and self.judge_rules != JudgeRules():
            raise ValueError("judge_rules are for a judge; name one as judge, or remove them")
        return self

    @model_validator(mode="after")
    def _classifier_reads_neither_doubt_nor_place(self) -> "DatasetPlan":
        if not isinstance(self.tagger, HuggingfaceConfig):
            return self
        if self.sampling.uncertain_share > 0:
            raise ValueError(
                "sampling.uncertain_share must be 0 with tagger huggingface, which reads no doubt, "
                f"got {self.sampling.uncertain_share:g}; set it to 0, or let the lexicon read"
            )
        if self.report_rules.match == "pairs and anatomy":
            raise ValueError(
                "report_rules.match must be 'pairs' with tagger huggingface, which reads no place, "
                f"got {self.report_rules.match!r}; change it, or let the lexicon read"
            )
        return self

    def content(self) -> dict[str, Any]:
        """What of the plan affects the samples, as JSON values."""
        unused = {"name", "description", "execution"}
        if self.judge is None:
            unused |= {"judge", "judge_rules"}
        return self.model_dump(mode="json", exclude=unused)

    def engines(self) -> dict[str, EngineConfig]:
        """Every engine the plan names, by its place in the plan."""
        gates = {f"image_rules.gates.{i}": g for i, g in enumerate(self.image_rules.gates)}
        judges = {} if self.judge is None else {"judge": self.judge}
        writing = {"writer": self.writer, "tagger": self.tagger}
        return writing | {"painter": self.painter} | gates | judges
