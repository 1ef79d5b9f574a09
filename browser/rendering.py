"""Templates to pages, with the few words and numbers that all of them need."""

import hashlib
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from browser.remembered import Remembered
from storage.records import EntityKind

FOLDER = Path(__file__).parent
NOTICE = "Synthetic images: not for clinical use"
_MAX_PAGES_BYTES = 32 << 20  # a page of 48 thumbnails has 300 kB
_STEP = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page; text in it is escaped."""
    found: Response = _templates().TemplateResponse(request, template, values, status_code=status)
    return found


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is sent.

    Attributes:
        body: Its HTML.
        tag: Of these bytes, by which a visitor who has them asks whether they still hold.
    """

    body: bytes
    tag: str


Pages = Remembered[Hashable, Page]


def remembered_pages() -> Pages:
    """Where an application keeps the pages that never change."""
    return Remembered(_MAX_PAGES_BYTES, lambda page: len(page.body))


def render_once(
    request: Request, template: str, key: Hashable, values: Callable[[], dict[str, Any]]
) -> Response:
    """A page that is the same for all visitors, rendered for the first of them.

    Args:
        request: Whose.
        template: Its file.
        key: All that the page depends on.
        values: What the template needs; asked for once.
    """
    pages: Pages = request.app.state.pages

    def rendered() -> Page:
        body = bytes(render(request, template, **values()).body)
        return Page(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    page = pages.get((template, key), rendered)
    headers = {"ETag": page.tag}
    if page.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return HTMLResponse(page.body, headers=headers)


@cache
def _templates() -> Jinja2Templates:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "num": number,
        "size": byte_size,
        "percent": percent,
        "day": day,
        "segment": segment,
        "plain": plain,
    }
    environment.globals |= {
        "notice": NOTICE,
        "code_version": version("cxr-factory"),
        "is_negated": is_negated,
    }
    return Jinja2Templates(env=environment)


def number(value: float) -> str:
    """A number for people: 12,345 or 0.0387."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def byte_size(num_bytes: int) -> str:
    """A size for people: "13.5 MiB"."""
    power = min(int(math.log(max(num_bytes, 1), _STEP)), len(_UNITS) - 1)
    return f"{num_bytes / _STEP**power:.3g} {_UNITS[power]}"


def percent(share: float) -> str:
    """0.981 as "98.1 %"."""
    return f"{share * 100:.3g} %"


def day(moment: str) -> str:
    """A stored moment (ISO 8601) as day and minute, UTC."""
    try:
        return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return moment


def segment(text: str) -> str:
    """A text as one part of an address."""
    return quote(text, safe="")


def plain(name: str) -> str:
    """A name of the code as words: "num_extra" as "extra"."""
    return name.replace("num_", "").replace("_", " ")


def is_negated(value: str) -> bool:
    """Whether a facet's value or a kind states absence."""
    return value.partition(":")[0] in {str(kind) for kind in EntityKind if kind.is_negated}
