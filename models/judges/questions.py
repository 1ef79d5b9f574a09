"""The six questions of study 1's quality control, and what an answer decides."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from storage.records import GateScore, JudgeAnswer, RejectionReason, Verdict

GATE = "judge"
_READABLE = "readable_answer"  # the measure of an answer that could not be read


class Question(StrEnum):
    """What a judge is asked; worded in `prompts/`. In the order that names the reason."""

    CHEST_XRAY = "chest_xray"
    HUMAN = "human"
    FRONTAL = "frontal"
    QUALITY = "quality"
    ORIENTATION = "orientation"
    FIDELITY = "fidelity"


_REASONS = {
    Question.CHEST_XRAY: RejectionReason.NO_CHEST_XRAY,
    Question.HUMAN: RejectionReason.NOT_HUMAN,
    Question.FRONTAL: RejectionReason.NOT_FRONTAL,
    Question.QUALITY: RejectionReason.POOR_QUALITY,
    Question.ORIENTATION: RejectionReason.WRONG_ORIENTATION,
    Question.FIDELITY: RejectionReason.LOW_FIDELITY,
}


class JudgeRules(BaseModel):
    """Which answers reject an image, and how often it is asked about and painted again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    must_be_yes: tuple[Question, ...] = Field(
        default=tuple(Question),
        min_length=1,
        description="Questions whose no rejects the image. Study 1: any of the six.",
    )
    max_tries: int = Field(
        default=3,
        ge=1,
        le=20,
        description="Requests per image until an answer can be read; a clear no is never asked "
        "again.",
    )
    max_rounds: int = Field(
        default=3,
        ge=1,
        le=20,
        description="Rounds of painting and judging per sample: what the judge rejects is painted "
        "again with new seeds. 1: what it rejects is rejected for good.",
    )


def verdict_of(answers: Sequence[JudgeAnswer], rules: JudgeRules) -> Verdict:
    """Keep an image whose answers are yes where the rules ask for it.

    Args:
        answers: One per question, in the questions' order; none when they could not be read.
        rules: Which of them reject.

    Returns:
        Scores of 1 for yes and 0 for no; the threshold is 1 where a yes is asked for, else 0.
    """
    if not answers:
        unread = GateScore(GATE, _READABLE, value=0.0, threshold=1.0, passed=False)
        return Verdict(RejectionReason.JUDGE_UNREADABLE, (unread,))
    scores = tuple(_score(answer, rules) for answer in answers)
    refused = [
        _REASONS[Question(answer.question)]
        for answer, score in zip(answers, scores, strict=True)
        if not score.passed
    ]
    return Verdict(refused[0] if refused else None, scores)


def _score(answer: JudgeAnswer, rules: JudgeRules) -> GateScore:
    threshold = float(Question(answer.question) in rules.must_be_yes)
    value = float(answer.yes)
    return GateScore(GATE, answer.question, value, threshold, passed=value >= threshold)
