"""What people say of samples: one record a decision, never changed, only followed by another."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

MAX_REMARK_CHARS = 500
MAX_REVIEWER_CHARS = 64
MAX_ID_CHARS = 128


class Study(StrEnum):
    """What a decision was asked for."""

    REVIEW = "review"
    BLIND = "blind"


class ReviewDecision(StrEnum):
    """What a reviewer decided; the last two answer the question of a blind study."""

    KEEP = "keep"
    REJECT = "reject"
    FLAG = "flag"
    WITHDRAWN = "withdrawn"  # what this reviewer said before stands no longer
    REAL = "real"
    SYNTHETIC = "synthetic"


_ANSWERS = frozenset({ReviewDecision.REAL, ReviewDecision.SYNTHETIC})


class ReviewReason(StrEnum):
    """Why a reviewer rejects or flags: of the image, of the report, of the two together."""

    NOT_A_CHEST = "not a chest X-ray"
    WRONG_VIEW = "wrong view"
    IMPOSSIBLE_ANATOMY = "impossible anatomy"
    ARTEFACT = "artefact"
    POOR_IMAGE_QUALITY = "poor image quality"
    LOOKS_ARTIFICIAL = "looks artificial"
    IMPLAUSIBLE_REPORT = "implausible report"
    CONTRADICTORY_REPORT = "contradictory report"
    UNREADABLE_REPORT = "unreadable report"
    FINDING_NOT_SHOWN = "finding not shown"  # the report states what the image lacks
    FINDING_NOT_STATED = "finding not stated"  # the image shows what the report lacks
    DUPLICATE = "duplicate"
    OTHER = "other"  # in the reviewer's own words


@dataclass(frozen=True, slots=True)
class Review:
    """One decision of one reviewer about one sample.

    Attributes:
        decision_id: Names it for ever; the same decision posted twice is kept once.
        sample_id: Of the dataset, or an item of a blind study.
        reviewer: Name, 1 to 64 characters, without spaces around it.
        decision: What was decided.
        reason: Of a rejection always, of a flag where one was given; else None.
        remark: In the reviewer's words, at most 500 characters; required where the reason is other.
        at: UTC, ISO 8601. For people: which decision came last is the table's to say.
        release: Number of the release that was looked at.
        study: Review, or a blind study.

    Raises:
        ValueError: If the fields do not fit together; says what was expected.
    """

    decision_id: str
    sample_id: str
    reviewer: str
    decision: ReviewDecision
    reason: ReviewReason | None
    remark: str
    at: str
    release: int
    study: Study

    def __post_init__(self) -> None:
        _require_text("decision_id", self.decision_id, MAX_ID_CHARS)
        _require_text("sample_id", self.sample_id, MAX_ID_CHARS)
        require_reviewer(self.reviewer)
        if len(self.remark) > MAX_REMARK_CHARS:
            raise ValueError(
                f"remark must be at most {MAX_REMARK_CHARS} characters, got {len(self.remark)}; "
                "shorten it"
            )
        if self.release < 1:
            raise ValueError(f"release must be a number from 1, got {self.release}")
        _require_utc(self.at)
        self._require_fitting_decision()
        self._require_fitting_reason()

    def _require_fitting_decision(self) -> None:
        if (self.decision in _ANSWERS) is not (self.study is Study.BLIND):
            raise ValueError(
                f"a decision of study {self.study!s} must not be {str(self.decision)!r}; a blind "
                "study asks real or synthetic, a review keep, reject, flag or withdrawn"
            )

    def _require_fitting_reason(self) -> None:
        if self.decision is ReviewDecision.REJECT and self.reason is None:
            raise ValueError("a rejection must have a reason, got none; name one")
        may_have_one = self.decision in (ReviewDecision.REJECT, ReviewDecision.FLAG)
        if self.reason is not None and not may_have_one:
            raise ValueError(
                f"decision {str(self.decision)!r} must have no reason, got {str(self.reason)!r}"
            )
        if self.reason is ReviewReason.OTHER and not self.remark.strip():
            raise ValueError("reason 'other' must have a remark that says it, got none")


def require_reviewer(name: str) -> None:
    """Refuse what can be no reviewer's name.

    Raises:
        ValueError: If it is empty, too long, unprintable or has spaces around it.
    """
    _require_text("reviewer", name, MAX_REVIEWER_CHARS)


def _require_text(field: str, value: str, max_chars: int) -> None:
    if not value or value != value.strip() or len(value) > max_chars or not value.isprintable():
        raise ValueError(
            f"{field} must be 1 to {max_chars} printable characters without spaces around them, "
            f"got {value[:max_chars]!r}"
        )


def _require_utc(value: str) -> None:
    try:
        offset = datetime.fromisoformat(value).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        raise ValueError(f"at must be a time in UTC such as {now!r}, got {value!r}")
