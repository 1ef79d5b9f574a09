"""How well two reviewers agree beyond chance, on the samples that both decided.

Cohen's kappa: Cohen 1960, "A coefficient of agreement for nominal scales". Its interval: the
large-sample standard error of Fleiss, Cohen and Everitt 1969, eq. 13; read it as rough below some
30 samples, and as nothing where both agree on all (it is then a point).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from storage.review_records import Review, ReviewDecision

_Z_95 = 1.959963984540054  # standard normal quantile of 0.975
_Table = Sequence[Sequence[int]]  # 2 × 2 counts: first reviewer down, second across; yes first


class Question(StrEnum):
    """What two reviewers are compared on."""

    KEEP = "keep or reject"  # samples that both kept or rejected
    FLAG = "flagged or not"  # samples that both decided in any way


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two reviewers on one question.

    Attributes:
        reviewers: Their names, in order.
        num_samples: On which both have a standing decision.
        share: Of samples on which they say the same, 0 to 1; None without a sample.
        kappa: -1 to 1, chance being 0; None where it is undefined.
        ci95: 95 % interval of kappa; None with it.
        undefined: Why kappa is undefined, else empty.
    """

    reviewers: tuple[str, str]
    question: Question
    num_samples: int
    share: float | None
    kappa: float | None
    ci95: tuple[float, float] | None
    undefined: str


def agreements(standing: Mapping[str, Mapping[str, Review]]) -> list[Agreement]:
    """Every pair of reviewers on every question.

    Args:
        standing: Sample id, then reviewer, to the standing decision.
    """
    names = sorted({name for of_sample in standing.values() for name in of_sample})
    return [
        _agreement(pair, question, standing)
        for pair in combinations(names, 2)
        for question in Question
    ]


def cohen_kappa(counts: _Table) -> tuple[float, tuple[float, float]] | None:
    """Kappa and its 95 % interval; None where both only ever said one and the same thing.

    Args:
        counts: 2 × 2, first reviewer down, second across; at least one sample.
    """
    total = sum(map(sum, counts))
    share = [[count / total for count in row] for row in counts]
    first = [sum(row) for row in share]
    second = [sum(column) for column in zip(*share, strict=True)]
    observed = share[0][0] + share[1][1]
    by_chance = first[0] * second[0] + first[1] * second[1]
    if math.isclose(by_chance, 1.0):
        return None
    kappa = (observed - by_chance) / (1 - by_chance)
    alike = sum(share[i][i] * (1 - (first[i] + second[i]) * (1 - kappa)) ** 2 for i in (0, 1))
    unlike = sum(share[i][1 - i] * (second[i] + first[1 - i]) ** 2 for i in (0, 1))
    spread = alike + (1 - kappa) ** 2 * unlike - (kappa - by_chance * (1 - kappa)) ** 2
    error = _Z_95 * math.sqrt(max(0.0, spread) / total) / (1 - by_chance)
    return kappa, (max(-1.0, kappa - error), min(1.0, kappa + error))


def _agreement(
    pair: tuple[str, str], question: Question, standing: Mapping[str, Mapping[str, Review]]
) -> Agreement:
    counts = [[0, 0], [0, 0]]
    for first, second in _answers(pair, question, standing):
        counts[not first][not second] += 1
    total = sum(map(sum, counts))
    if total == 0:
        return Agreement(pair, question, 0, None, None, None, "no sample that both decided")
    share = (counts[0][0] + counts[1][1]) / total
    found = cohen_kappa(counts)
    if found is None:
        why = "both said the same of every sample, so chance alone explains it"
        return Agreement(pair, question, total, share, None, None, why)
    return Agreement(pair, question, total, share, *found, "")


def _answers(
    pair: tuple[str, str], question: Question, standing: Mapping[str, Mapping[str, Review]]
) -> Iterator[tuple[bool, bool]]:
    """What both said of each sample: kept, or flagged."""
    for of_sample in standing.values():
        said = [of_sample[name].decision for name in pair if name in of_sample]
        flagged = [decision is ReviewDecision.FLAG for decision in said]
        if len(said) < 2 or (question is Question.KEEP and any(flagged)):
            continue
        if question is Question.FLAG:
            yield flagged[0], flagged[1]
        else:
            yield said[0] is ReviewDecision.KEEP, said[1] is ReviewDecision.KEEP
