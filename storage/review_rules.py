"""What people's decisions change: which samples of a release are taken."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from storage.review_records import Review, ReviewDecision


class ReviewStatus(StrEnum):
    """What the reviewers of a sample say together."""

    KEPT = "kept"
    REJECTED = "rejected"
    FLAGGED = "flagged"  # neither of these, and somebody flagged it
    UNDECIDED = "undecided"


class ReviewRules(BaseModel):
    """How the decisions that a release names are counted, and what they leave out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    take: Literal["all", "not-rejected", "kept"] = Field(
        "all",
        description="Samples to take: all whatever reviewers said, those not rejected, or those "
        "kept alone.",
    )
    min_reviewers: int = Field(
        1, ge=1, le=100, description="Keeps and rejections a sample must have to count as decided."
    )
    disagreement: Literal["any-reject", "majority"] = Field(
        "any-reject",
        description="Where reviewers disagree: one rejection rejects, or the greater number "
        "decides and a tie leaves it undecided.",
    )

    def status(self, standing: Mapping[str, Review]) -> ReviewStatus:
        """What the reviewers of one sample say together.

        Args:
            standing: Each reviewer's standing decision on it; empty where nobody has one.
        """
        said = [review.decision for review in standing.values()]
        num_kept = said.count(ReviewDecision.KEEP)
        num_rejected = said.count(ReviewDecision.REJECT)
        if num_kept + num_rejected >= self.min_reviewers:
            if num_rejected > (0 if self.disagreement == "any-reject" else num_kept):
                return ReviewStatus.REJECTED
            if num_kept > num_rejected:
                return ReviewStatus.KEPT
        return ReviewStatus.FLAGGED if ReviewDecision.FLAG in said else ReviewStatus.UNDECIDED

    def takes(self, standing: Mapping[str, Review]) -> bool:
        """Whether a sample with these standing decisions is taken."""
        match self.take:
            case "all":
                return True
            case "not-rejected":
                return self.status(standing) is not ReviewStatus.REJECTED
            case "kept":
                return self.status(standing) is ReviewStatus.KEPT


DEFAULT_RULES = ReviewRules()
