"""What the ledger records: how a unit was settled, and why an attempt failed."""

from dataclasses import asdict, dataclass
from typing import Any

from storage.errors import DamagedObject
from storage.identity import canonical_json
from storage.json_files import parse_json
from storage.records import Outcome, RejectionReason, Stage
from storage.staging import StagedFile


@dataclass(frozen=True, slots=True)
class SampleOutcome:
    """How one sample of a unit left a stage.

    Attributes:
        reason: None exactly when accepted.
        signature: 256-bit perceptual hash as 64 hex digits; empty where there is no image.
    """

    index: int
    outcome: Outcome
    reason: RejectionReason | None
    signature: str = ""


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """What stands of a settled unit.

    Attributes:
        attempt: Id of the execution that settled it.
        file: Key of its staged file, relative to the root.
        num_bytes: Size of that file.
        sha256: Hash of its bytes, 64 hex digits.
        outcomes: Of every sample that reached the stage, in order of index.
        worker: Host and process that settled it.
        started_at: When the attempt began, seconds since the epoch.
        settled_at: When it was recorded, seconds since the epoch.
        engine_seconds: Engine time of all samples and tries of the attempt.
        num_tokens: What a language model read and wrote for them.
    """

    stage: Stage
    unit: int
    attempt: str
    file: str
    num_bytes: int
    sha256: str
    outcomes: tuple[SampleOutcome, ...]
    worker: str = ""
    started_at: float = 0.0
    settled_at: float = 0.0
    engine_seconds: float = 0.0
    num_tokens: int = 0

    @property
    def staged(self) -> StagedFile:
        """The staged file it names."""
        return StagedFile(self.file, self.num_bytes, self.sha256)

    def to_json(self) -> bytes:
        """Canonical JSON: the same record, the same bytes."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "LedgerRecord":
        """The record; raises DamagedObject naming `where` if these bytes are none."""
        fields = parse_json(data, where)
        try:
            outcomes = tuple(_outcome(one) for one in fields.pop("outcomes"))
            return cls(**fields | {"stage": Stage(fields["stage"]), "outcomes": outcomes})
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedObject(f"{where}: expected a ledger record, got {error!r}") from error


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """One failed attempt at a unit. `error` is the exception's type; `at` is UTC, ISO 8601."""

    stage: Stage
    unit: int
    attempt: str
    error: str
    message: str
    at: str

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "FailureRecord":
        """The failure; raises DamagedObject naming `where` if these bytes are no JSON object."""
        fields = parse_json(data, where)
        return cls(**fields | {"stage": Stage(fields["stage"])})


def _outcome(fields: dict[str, Any]) -> SampleOutcome:
    reason = fields["reason"]
    return SampleOutcome(
        index=fields["index"],
        outcome=Outcome(fields["outcome"]),
        reason=None if reason is None else RejectionReason(reason),
        signature=fields["signature"],
    )
