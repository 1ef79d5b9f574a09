import pytest

from storage.review_records import Review, ReviewDecision
from storage.review_rules import ReviewRules, ReviewStatus
from tests.storage.made import decided

_DECISIONS = {"k": ReviewDecision.KEEP, "r": ReviewDecision.REJECT, "f": ReviewDecision.FLAG}
KEPT, REJECTED, FLAGGED, UNDECIDED = (
    ReviewStatus.KEPT,
    ReviewStatus.REJECTED,
    ReviewStatus.FLAGGED,
    ReviewStatus.UNDECIDED,
)


def _said(letters: str) -> dict[str, Review]:
    """Reviewer 0, 1, … each keeps, rejects or flags one sample."""
    return {str(who): decided("s", str(who), _DECISIONS[one]) for who, one in enumerate(letters)}


@pytest.mark.parametrize(
    ("said", "any_reject", "majority", "two_reviewers"),
    [
        ("", UNDECIDED, UNDECIDED, UNDECIDED),
        ("k", KEPT, KEPT, UNDECIDED),
        ("r", REJECTED, REJECTED, UNDECIDED),
        ("f", FLAGGED, FLAGGED, FLAGGED),
        ("kf", KEPT, KEPT, FLAGGED),
        ("kk", KEPT, KEPT, KEPT),
        ("kr", REJECTED, UNDECIDED, REJECTED),
        ("krf", REJECTED, FLAGGED, REJECTED),
        ("kkr", REJECTED, KEPT, REJECTED),
        ("krr", REJECTED, REJECTED, REJECTED),
    ],
)
def test_status_counts_reviewers_as_the_rule_says(
    said: str, any_reject: ReviewStatus, majority: ReviewStatus, two_reviewers: ReviewStatus
) -> None:
    standing = _said(said)
    assert ReviewRules().status(standing) is any_reject
    assert ReviewRules(disagreement="majority").status(standing) is majority
    assert ReviewRules(min_reviewers=2).status(standing) is two_reviewers


def test_takes_all_not_rejected_or_kept() -> None:
    cases = ("", "k", "r", "f")
    taken = {
        take: [ReviewRules(take=take).takes(_said(said)) for said in cases]
        for take in ("all", "not-rejected", "kept")
    }
    assert taken["all"] == [True, True, True, True]
    assert taken["not-rejected"] == [True, True, False, True]
    assert taken["kept"] == [False, True, False, False]
