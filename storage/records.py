"""What moves between rooms at run time.

The Arrow schemas are derived from these in `storage/schemas.py`. Standard library only, so that
`models` may import it (with `storage.errors`).
Every field's meaning, unit, null and range is written here, once.
"""

from dataclasses import dataclass
from enum import StrEnum

NOT_FOR_CLINICAL_USE = "Synthetic image-report pair. Not for clinical use."


class Stage(StrEnum):
    """The stage verbs; one name in code, ledger, UI and docs."""

    PLAN = "plan"
    WRITE = "write"
    PAINT = "paint"
    JUDGE = "judge"
    PUBLISH = "publish"
    PRETRAIN = "pretrain"
    EVALUATE = "evaluate"


class EntityKind(StrEnum):
    """Types of RaTE-NER (Zhao et al. 2024). The `non-` kinds are what a report says is absent."""

    ABNORMALITY = "abnormality"
    NON_ABNORMALITY = "non-abnormality"
    DISEASE = "disease"
    NON_DISEASE = "non-disease"
    ANATOMY = "anatomy"

    @property
    def is_clinical(self) -> bool:
        """True for the four kinds that study 1 draws as clinical entities."""
        return self is not EntityKind.ANATOMY

    @property
    def is_negated(self) -> bool:
        """True for the two kinds that state absence."""
        return self in (EntityKind.NON_ABNORMALITY, EntityKind.NON_DISEASE)

    @property
    def negated(self) -> "EntityKind":
        """The `non-` kind of a clinical kind; a `non-` kind and anatomy are their own."""
        return _NEGATED.get(self, self)

    @property
    def stated(self) -> "EntityKind":
        """The kind with negation taken off: what two opposite claims have in common."""
        return _STATED.get(self, self)


_NEGATED = {
    EntityKind.ABNORMALITY: EntityKind.NON_ABNORMALITY,
    EntityKind.DISEASE: EntityKind.NON_DISEASE,
}
_STATED = {negated: stated for stated, negated in _NEGATED.items()}


class EntityStatus(StrEnum):
    """What a report claims: `non-` kinds are always absent, anatomy always present."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


class Severity(StrEnum):
    """Extent in words; sizes map here (small = mild, large = severe)."""

    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


class View(StrEnum):
    """Frontal projections."""

    PA = "PA"
    AP = "AP"


class Sex(StrEnum):
    """As in the `Patient Gender` column of ChestX-ray14."""

    FEMALE = "F"
    MALE = "M"


class Split(StrEnum):
    """Fixed at ingest for a patient, at planning for a sample; obeyed by everything later."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Outcome(StrEnum):
    """How a sample left a stage. Rejected and quarantined are final."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


class RejectionReason(StrEnum):
    """Why a gate said no, or why a sample was quarantined."""

    MISSING_SECTION = "missing section"
    MISSING_ENTITY = "missing entity"
    EXTRA_ENTITY = "extra entity"
    WRONG_STATUS = "wrong status"
    WRONG_ANATOMY = "wrong anatomy"
    IMPRESSION_NOT_SUPPORTED = "impression not supported"
    COMPARISON_WORD = "comparison word"
    WRONG_SIZE = "wrong size"
    NOT_FINITE = "not finite"
    CONSTANT = "constant"
    SATURATED = "saturated"
    BORDER = "border"
    NEAR_DUPLICATE = "near duplicate"
    BAD_IMAGE = "bad image"  # more like known bad images than like good ones
    TEXT_MISMATCH = "text mismatch"  # the image does not show what its text says
    MEMORISED = "memorised"  # all but a copy of a real training image
    UNLIKE_REAL = "unlike real"  # far from every real training image
    NO_CHEST_XRAY = "no chest X-ray"  # this and the next five: the judge's six questions
    NOT_HUMAN = "not a human chest X-ray"
    NOT_FRONTAL = "not a frontal view"
    POOR_QUALITY = "poor quality"
    WRONG_ORIENTATION = "wrong orientation or over-processed"
    LOW_FIDELITY = "low fidelity"
    JUDGE_UNREADABLE = "judge gave no readable answer"
    GATE_SAID_NO = "gate said no"  # a gate from another package, in its own words in the scores
    ENGINE_FAILED = "engine failed"


@dataclass(frozen=True, slots=True)
class Entity:
    """One clinical or anatomy entity, requested of a report or found in it.

    Attributes:
        text: Canonical term, lower case ("pleural effusion", "left lower lobe").
        kind: One of the five kinds.
        status: Absent exactly for the `non-` kinds; present for anatomy.
        anatomy: Canonical anatomy term the finding is placed in; None when not localised.
        severity: None when not stated.
    """

    text: str
    kind: EntityKind
    status: EntityStatus
    anatomy: str | None = None
    severity: Severity | None = None

    def __post_init__(self) -> None:
        assert (self.status is EntityStatus.ABSENT) == self.kind.is_negated, self

    @property
    def key(self) -> tuple[str, EntityKind]:
        """What the report gate compares: (text, kind), negation being part of the kind."""
        return self.text, self.kind


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Where a real report comes from; patient_id drives the split."""

    corpus: str
    report_id: str
    patient_id: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One planned candidate pair. `sample_id` = hash(fingerprint, index).

    Attributes:
        split: By hash of the sample's id; of a real report its patient's, which is always train.
        entities: What the report is asked to say, or what its real report was found to say.
        source: The real report it takes; None where one is written.
    """

    index: int
    sample_id: str
    unit: int
    split: Split
    entities: tuple[Entity, ...]
    view: View
    sex: Sex | None = None
    age_years: int | None = None
    source: SourceReport | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The two sections every report of this project has; plain text, one paragraph each."""

    findings: str
    impression: str


@dataclass(frozen=True, slots=True)
class GateScore:
    """One measured value against its threshold; stored for kept and rejected samples alike."""

    gate: str
    measure: str
    value: float
    threshold: float
    passed: bool


@dataclass(frozen=True, slots=True)
class JudgeAnswer:
    """A judge's answer to one question about an image, with its reason in its own words."""

    question: str
    yes: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of one sample: `reason` is None exactly when it passed."""

    reason: RejectionReason | None
    scores: tuple[GateScore, ...] = ()

    @property
    def passed(self) -> bool:
        """True when the sample is kept."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Provenance:
    """How one result was made.

    Attributes:
        engine: Engine kind ("grammar", "phantom").
        engine_revision: Resolved revision of its weights or rules.
        attempt: Attempt id of the unit's execution.
        seed: Seed of the last try, from (sample_id, stage, try).
        tries: Number of tries made, at least 1.
        prompt: What conditioned the engine, as given.
        prompt_sha256: Hash of the prompt template and its few-shot examples, or of the prompt.
        flow_run_id: Prefect's id, empty outside Prefect.
        task_run_id: Prefect's id, empty outside Prefect.
        code_version: Version of this package.
        engine_seconds: Engine time of all tries of this sample, seconds.
        settings: Engine settings that shape the result, as JSON (guidance scale, steps, scheduler).
        num_tokens: Tokens that a language model read and wrote in all tries; 0 of other engines.
    """

    engine: str
    engine_revision: str
    attempt: str
    seed: int
    tries: int
    prompt: str
    prompt_sha256: str
    flow_run_id: str
    task_run_id: str
    code_version: str
    engine_seconds: float
    settings: str
    num_tokens: int = 0


@dataclass(frozen=True, slots=True)
class FindingMask:
    """Where a painter placed one finding: a 1-bit PNG of the image's size."""

    text: str
    anatomy: str | None
    png: bytes


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One sample's result of the write stage. `report` is None only for a quarantined sample."""

    sample: Sample
    outcome: Outcome
    reason: RejectionReason | None
    report: Report | None
    entities_found: tuple[Entity, ...]
    scores: tuple[GateScore, ...]
    provenance: Provenance

    @property
    def index(self) -> int:
        """The sample's index."""
        return self.sample.index


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One sample's result of the paint stage. `png` is None only for a quarantined sample.

    Attributes:
        signature: 256-bit perceptual hash as 64 hex digits; empty without an image.
        sha256: Of the PNG bytes; empty without an image.
    """

    written: ReportRow
    outcome: Outcome
    reason: RejectionReason | None
    png: bytes | None
    sha256: str
    width_px: int
    height_px: int
    signature: str
    masks: tuple[FindingMask, ...]
    scores: tuple[GateScore, ...]
    provenance: Provenance

    @property
    def index(self) -> int:
        """The sample's index."""
        return self.written.sample.index


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """One sample's result of the judge stage; the image it was shown stays with the paint stage.

    Attributes:
        image_sha256: Of the PNG that was shown.
        answers: One per question; empty when none could be read, and for a quarantined sample.
    """

    index: int
    sample_id: str
    image_sha256: str
    outcome: Outcome
    reason: RejectionReason | None
    answers: tuple[JudgeAnswer, ...]
    scores: tuple[GateScore, ...]
    provenance: Provenance
