"""What pages say of decisions: badges of samples, and the bar that decisions are made with."""

import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from browser.review_desk import Desk
from storage.review_records import Review, ReviewReason
from storage.review_rules import DEFAULT_RULES, ReviewStatus

_MAX_NAMES = 2
_KINDS = {ReviewStatus.KEPT: "good", ReviewStatus.REJECTED: "refused", ReviewStatus.FLAGGED: "warn"}
_REASON_KEYS = "1234567890"


@dataclass(frozen=True, slots=True)
class Mark:
    """What reviewers say of one sample.

    Attributes:
        text: Status and names: "rejected · ann, bob".
        kind: Of the badge.
        detail: Each decision in words.
    """

    text: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """A reason in the menu, and the key that means it after `r`; empty for none."""

    reason: ReviewReason
    key: str


REASONS = tuple(
    ReasonLine(reason, _REASON_KEYS[at : at + 1]) for at, reason in enumerate(ReviewReason)
)


@dataclass(frozen=True, slots=True)
class ReviewBar:
    """What a page needs to be reviewed on.

    Attributes:
        reviewer: Empty for nobody.
        post: Names the decisions that are made without a script; new for every page.
        marks: By sample id, of those that have decisions.
    """

    reviewer: str
    post: str
    marks: Mapping[str, Mark]
    reasons: tuple[ReasonLine, ...] = REASONS


def review_bar(desk: Desk, dataset: str, reviewer: str, sample_ids: Iterable[str]) -> ReviewBar:
    """The bar of a page with these samples."""
    return ReviewBar(reviewer, secrets.token_hex(16), marks_of(desk, dataset, list(sample_ids)))


def marks_of(desk: Desk, dataset: str, sample_ids: Collection[str]) -> dict[str, Mark]:
    """Badges of those samples that have decisions."""
    standing = desk.decisions(dataset).standing
    return {one: _mark(standing[one]) for one in sample_ids if one in standing}


def _mark(of_sample: Mapping[str, Review]) -> Mark:
    status = DEFAULT_RULES.status(of_sample)
    names = sorted(of_sample)
    who = ", ".join(names) if len(names) <= _MAX_NAMES else f"{len(names)} reviewers"
    detail = "; ".join(_words(of_sample[name]) for name in names)
    return Mark(f"{status} · {who}", _KINDS.get(status, ""), detail)


def _words(review: Review) -> str:
    parts = [str(review.decision), *filter(None, (str(review.reason or ""), review.remark))]
    return f"{review.reviewer}: {', '.join(parts)}"
