"""The routes of review: who decides, and what. They exist with `browse --review` alone."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from browser.access import local_path
from browser.asking import open_asked
from browser.problems import JSON, Problem
from browser.rendering import render
from browser.review_columns import rows_of
from browser.review_forms import (
    Dataset,
    Form,
    Posted,
    desk_there,
    field,
    number_field,
    remember_reviewer,
    require_named,
    reviewer_of,
)
from browser.review_marks import marks_of
from storage.review_records import Review, ReviewDecision, ReviewReason, Study

router = APIRouter(prefix="/review", include_in_schema=False)
MAX_SAMPLES = 500
_POST = re.compile(r"[0-9a-f]{32}")
_DONE = {
    ReviewDecision.KEEP: "Kept",
    ReviewDecision.REJECT: "Rejected",
    ReviewDecision.FLAG: "Flagged",
    ReviewDecision.WITHDRAWN: "Withdrew what was said of",
}


@router.get("/name")
def ask_name(request: Request, next: str = "/") -> Response:
    """Who reviews, asked once."""
    wanted = local_path(next)
    return render(request, "reviewer.html", name=reviewer_of(request), next=wanted, wrong="")


@router.post("/name")
def take_name(request: Request, form: Posted) -> Response:
    """Remember who reviews in a cookie of these pages."""
    name, wanted = field(form, "name"), local_path(field(form, "next"))
    response = RedirectResponse(wanted, HTTPStatus.SEE_OTHER)
    try:
        remember_reviewer(response, name)
    except ValueError as error:
        status = HTTPStatus.BAD_REQUEST
        return render(request, "reviewer.html", status, name=name, next=wanted, wrong=str(error))
    return response


@router.post("/{dataset}/decisions")
def decide(
    request: Request, dataset: Dataset, form: Posted, accept: Annotated[str, Header()] = ""
) -> Response:
    """Put one decision on one or more samples of a table, in one commit."""
    reviewer = require_named(request)
    opened = open_asked(request, dataset, number_field(form, "release"), field(form, "table"))
    samples = _samples(form)
    places = rows_of(opened.index, samples)
    if len(places) < len(samples):
        raise ValueError(
            f"expected samples of {opened.table} of release {opened.release.number}, got "
            f"{len(samples) - len(places)} others; reload the page"
        )
    reviews = _reviews(form, samples, reviewer, opened.release.number)
    desk = desk_there(request)
    desk.add(opened.release, reviews)
    if accept != JSON:
        return RedirectResponse(local_path(field(form, "back")), HTTPStatus.SEE_OTHER)
    indices = [int(opened.index.index_N[places[one]]) for one in samples]
    marks = marks_of(desk, dataset, samples)
    return JSONResponse(
        {
            "said": _said(reviews[0], indices),
            "marks": {one: asdict(mark) for one, mark in marks.items()},
        }
    )


def _reviews(form: Form, samples: Sequence[str], reviewer: str, release: int) -> list[Review]:
    """The same decision on each; their ids follow from the post's, so that it may be repeated."""
    post = field(form, "post")
    if not _POST.fullmatch(post):
        raise ValueError(f"expected a post named by 32 hex digits, got {post[:40]!r}")
    decision = _decision(field(form, "decision"))
    has_reason = decision in (ReviewDecision.REJECT, ReviewDecision.FLAG)
    words = field(form, "reason") if has_reason else ""  # one menu stands beside all buttons
    if words and words not in list(ReviewReason):
        raise ValueError(f"expected a reason ({', '.join(ReviewReason)}), got {words[:40]!r}")
    return [
        Review(
            decision_id=f"{post}-{sample_id}",
            sample_id=sample_id,
            reviewer=reviewer,
            decision=decision,
            reason=ReviewReason(words) if words else None,
            remark=field(form, "remark") if has_reason else "",
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            release=release,
            study=Study.REVIEW,
        )
        for sample_id in samples
    ]


def _decision(words: str) -> ReviewDecision:
    if words not in list(_DONE):
        raise ValueError(f"expected a decision ({', '.join(_DONE)}), got {words[:40]!r}")
    return ReviewDecision(words)


def _samples(form: Form) -> list[str]:
    samples = list(dict.fromkeys(form.get("sample", [])))
    if not 1 <= len(samples) <= MAX_SAMPLES:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"A decision is on 1 to {MAX_SAMPLES} samples, got {len(samples)}.",
            "Tick the samples that are meant.",
        )
    return samples


def _said(review: Review, indices: Sequence[int]) -> str:
    """What was done, for whoever hears it: "Rejected sample 12: artefact."."""
    many = len(indices) > 1
    what = f"{len(indices)} samples" if many else f"sample {indices[0]}"
    why = f": {review.reason}" if review.reason else ""
    return f"{_DONE[review.decision]} {what}{why}."
