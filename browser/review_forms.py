"""What visitors post: only from these pages, only so much, and by somebody with a name."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qs, quote, unquote, urlsplit

from fastapi import Depends, Path, Request
from fastapi.responses import Response

from browser.asking import desk_of
from browser.problems import Problem
from browser.review_desk import Desk
from browser.review_marks import ReviewBar, review_bar
from storage.review_records import require_reviewer

REVIEWER_COOKIE = "cxr_factory_reviewer"
_COOKIE_SECONDS = 365 * 24 * 3600
_MAX_FORM_BYTES = 64 * 1024
_MAX_DIGITS = 9
Form = dict[str, list[str]]
Dataset = Annotated[str, Path(description="Name of the dataset.")]


async def posted_form(request: Request) -> Form:
    """The fields of a form that one of these pages sent.

    Raises:
        Problem: If it came from elsewhere, or is larger than any of these forms can be.
    """
    _require_own_page(request)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_FORM_BYTES:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"A form of these pages has at most {_MAX_FORM_BYTES} bytes.",
                "Choose fewer samples.",
            )
    return parse_qs(body.decode("utf-8", "replace"))


Posted = Annotated[Form, Depends(posted_form)]


def field(form: Form, name: str) -> str:
    """One field without spaces around it; empty where it was not sent."""
    return form.get(name, [""])[0].strip()


def number_field(form: Form, name: str) -> int:
    """One field that is a number of at most nine digits.

    Raises:
        ValueError: If it is none.
    """
    words = field(form, name)
    if not words.isdecimal() or len(words) > _MAX_DIGITS:
        raise ValueError(f"expected a number for {name}, got {words[:40]!r}")
    return int(words)


def desk_there(request: Request) -> Desk:
    """The desk of an application that has one."""
    desk = desk_of(request)
    assert desk is not None, "review's routes exist with a desk alone"
    return desk


def reviewer_of(request: Request) -> str:
    """Who decides: the cookie's name, or the one said at the start; empty for nobody."""
    name = unquote(request.cookies.get(REVIEWER_COOKIE, ""))
    try:
        require_reviewer(name)
    except ValueError:  # no cookie, or one that nobody got from here
        return desk_there(request).reviewer
    return name


def bar_of(request: Request, dataset: str, sample_ids: Iterable[str]) -> ReviewBar | None:
    """The bar to review a page's samples with; None where visitors only read."""
    desk = desk_of(request)
    if desk is None:
        return None
    return review_bar(desk, dataset, reviewer_of(request), sample_ids)


def require_named(request: Request) -> str:
    """Who decides.

    Raises:
        Problem: If nobody said a name.
    """
    name = reviewer_of(request)
    if not name:
        raise Problem(
            HTTPStatus.FORBIDDEN, "Nobody said who reviews.", "Say your name first: /review/name."
        )
    return name


def remember_reviewer(response: Response, name: str) -> None:
    """Keep a name for the visitor's next pages."""
    require_reviewer(name)
    response.set_cookie(
        REVIEWER_COOKIE,
        quote(name, safe=""),
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="strict",
        path="/",
    )


def _require_own_page(request: Request) -> None:
    """A browser says where a post comes from; pages elsewhere cannot change what it says."""
    site = request.headers.get("sec-fetch-site")
    origin = urlsplit(request.headers.get("origin", "")).netloc
    own = site == "same-origin" if site else origin == request.headers.get("host")
    if not own:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "This came from no page of this browser.",
            "Open the page here, and decide there.",
        )
