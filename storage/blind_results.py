"""What the readers of a blind study told apart, against chance.

Intervals: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
95 %. Against chance, which is one half since the study is balanced: the exact binomial test, two
sided. The pooled figures take all answers as independent, though readers see the same images.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from storage.blind_records import BlindStudy
from storage.review_records import Review, ReviewDecision, Study

_Z_95 = 1.959963984540054  # standard normal quantile of 0.975


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a number, with its interval.

    Attributes:
        ci95: Wilson's, both ends within 0 to 1.
    """

    count: int
    total: int
    ci95: tuple[float, float]

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.count / self.total


@dataclass(frozen=True, slots=True)
class BlindResult:
    """What one reader, or all who finished together, told apart.

    Attributes:
        accuracy: Answers that were right.
        sensitivity: Made images that were called synthetic.
        specificity: Real images that were called real.
        p_value: Of accuracy, were every answer a guess.
    """

    accuracy: Share
    sensitivity: Share
    specificity: Share
    p_value: float


@dataclass(frozen=True, slots=True)
class StudyResults:
    """A study as far as it was answered; nothing of those who have not finished but how far.

    Attributes:
        readers: By name, who answered every item.
        pooled: All of these together; None where nobody finished.
        num_answered: By name, of everybody who began.
    """

    readers: Mapping[str, BlindResult]
    pooled: BlindResult | None
    num_answered: Mapping[str, int]


def blind_answers(study: BlindStudy, reviews: Iterable[Review]) -> dict[str, dict[str, bool]]:
    """Reader, then item id, to whether it was called synthetic: the first answer counts.

    So an answer given after the truth was shown changes nothing.

    Args:
        study: Whose items; answers on others are passed over.
        reviews: In the order they were taken in.
    """
    known = {item.item_id for item in study.items}
    answers: dict[str, dict[str, bool]] = {}
    for review in reviews:
        if review.study is Study.BLIND and review.sample_id in known:
            called_synthetic = review.decision is ReviewDecision.SYNTHETIC
            answers.setdefault(review.reviewer, {}).setdefault(review.sample_id, called_synthetic)
    return answers


def unanswered(study: BlindStudy, reviewer: str, reviews: Iterable[Review]) -> list[str]:
    """Items that a reader has still to look at, in the reader's own order."""
    done = blind_answers(study, reviews).get(reviewer, {})
    return [item_id for item_id in study.order_of(reviewer) if item_id not in done]


def study_results(study: BlindStudy, reviews: Iterable[Review]) -> StudyResults:
    """What the readers who answered every item told apart, each and together."""
    answers = blind_answers(study, reviews)
    finished = {name: of for name, of in answers.items() if len(of) == len(study.items)}
    return StudyResults(
        readers={name: _result(study, [of]) for name, of in finished.items()},
        pooled=_result(study, list(finished.values())) if finished else None,
        num_answered={name: len(of) for name, of in answers.items()},
    )


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, by Wilson's score.

    Args:
        count: 0 to `total`.
        total: At least 1.
    """
    share, squared = count / total, _Z_95**2
    centre = (share + squared / (2 * total)) / (1 + squared / total)
    spread = share * (1 - share) / total + squared / (4 * total**2)
    half = _Z_95 * math.sqrt(spread) / (1 + squared / total)
    return max(0.0, centre - half), min(1.0, centre + half)


def binomial_p_value(count: int, total: int) -> float:
    """Two-sided probability of a count as far from the half as this, were each right by chance."""
    further = max(count, total - count)
    ways, term = 0, math.comb(total, further)
    for right in range(further, total + 1):
        ways += term
        term = term * (total - right) // (right + 1)
    return min(1.0, ways / (1 << (total - 1)))


def _result(study: BlindStudy, answers: Iterable[Mapping[str, bool]]) -> BlindResult:
    given = [
        (item.synthetic, of_reader[item.item_id]) for of_reader in answers for item in study.items
    ]
    made = [called for synthetic, called in given if synthetic]
    real = [not called for synthetic, called in given if not synthetic]
    right = sum(made) + sum(real)
    return BlindResult(
        accuracy=_share(right, len(given)),
        sensitivity=_share(sum(made), len(made)),
        specificity=_share(sum(real), len(real)),
        p_value=binomial_p_value(right, len(given)),
    )


def _share(count: int, total: int) -> Share:
    return Share(count, total, wilson_interval(count, total))
