"""What a dataset's reviewers decided up to now, how well they agree, and what is released of it."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from browser.asking import library_of
from browser.library import Library
from browser.rendering import render
from browser.review_columns import Standing
from browser.review_desk import Decisions
from browser.review_forms import Dataset, desk_there
from storage.agreement import Agreement, agreements
from storage.layout import Table
from storage.releases import Release, open_table
from storage.review_records import Review, ReviewDecision, Study
from storage.review_rules import DEFAULT_RULES
from storage.tables import lance_errors

router = APIRouter(prefix="/review", include_in_schema=False)
_DECISIONS = (ReviewDecision.KEEP, ReviewDecision.REJECT, ReviewDecision.FLAG)


@dataclass(frozen=True, slots=True)
class ReviewerLine:
    """What stands of one reviewer.

    Attributes:
        counts: Samples by decision.
        reasons: Samples by reason, most frequent first.
    """

    name: str
    counts: Mapping[str, int]
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AgreementView:
    """The page's content.

    Attributes:
        statuses: Samples by what their reviewers say together, where one rejection rejects.
        reviewers: By name.
        pairs: Of every two reviewers, on every question.
        num_waiting: Decisions, withdrawals included, that no release names yet; answers of blind
            studies are none.
        release: Number of the newest.
        command: That makes the next release.
    """

    statuses: Mapping[str, int]
    reviewers: tuple[ReviewerLine, ...]
    pairs: tuple[Agreement, ...]
    num_waiting: int
    release: int
    command: str


@router.get("/{dataset}/agreement")
def agreement(request: Request, dataset: Dataset) -> Response:
    """Counts, kappa, and what a release would take up."""
    library, decisions = library_of(request), desk_there(request).decisions(dataset)
    release = library.newest(dataset)
    view = agreement_view(library, release, decisions)
    return render(request, "agreement.html", dataset=dataset, view=view)


def agreement_view(library: Library, release: Release, decisions: Decisions) -> AgreementView:
    """What was decided, beside what the newest release has of it."""
    standing = decisions.standing
    decided = [one for one in decisions.reviews if one.study is Study.REVIEW]
    statuses = Counter(str(DEFAULT_RULES.status(of_sample)) for of_sample in standing.values())
    command = ["cxr-factory", "release", release.dataset, "--root", library.store.root]
    return AgreementView(
        statuses=dict(statuses.most_common()),
        reviewers=_reviewers(standing),
        pairs=tuple(agreements(standing)),
        num_waiting=len(decided) - _num_released(library, release),
        release=release.number,
        command=shlex.join(command),
    )


def _num_released(library: Library, release: Release) -> int:
    if Table.REVIEWS not in release.versions:
        return 0
    table = open_table(library.store, release, Table.REVIEWS)
    with lance_errors(table.uri):
        return int(table.count_rows(filter=f"study = '{Study.REVIEW}'"))


def _reviewers(standing: Standing) -> tuple[ReviewerLine, ...]:
    of_reviewer: dict[str, list[Review]] = {}
    for of_sample in standing.values():
        for name, review in of_sample.items():
            of_reviewer.setdefault(name, []).append(review)
    return tuple(_reviewer(name, of_reviewer[name]) for name in sorted(of_reviewer))


def _reviewer(name: str, reviews: Iterable[Review]) -> ReviewerLine:
    listed = list(reviews)
    decided = Counter(review.decision for review in listed)
    reasons = Counter(str(review.reason) for review in listed if review.reason is not None)
    counts = {str(decision): decided[decision] for decision in _DECISIONS}
    return ReviewerLine(name, counts, dict(reasons.most_common()))
