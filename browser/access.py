"""Who may look: a token beyond loopback, and the headers that every answer carries."""

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, quote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from browser.rendering import render
from browser.settings import Settings, is_loopback

LOGIN = "/login"
_COOKIE = "cxr_factory_browser"
_OPEN = (LOGIN, "/static/")  # the page that asks for the token, and its looks
_MAX_FORM_BYTES = 4096
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # ask again each time; the pictures of a release say otherwise
}
Next = Callable[[Request], Awaitable[Response]]


def add_access(app: FastAPI, settings: Settings) -> None:
    """Put the token's check before every route, and the headers on every answer."""

    @app.middleware("http")
    async def guard(request: Request, call_next: Next) -> Response:
        refused = _refusal(request, settings)
        response = await call_next(request) if refused is None else refused
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get(LOGIN, include_in_schema=False)
    def ask(request: Request) -> Response:
        return render(
            request, "login.html", next=local_path(request.query_params.get("next")), wrong=False
        )

    @app.post(LOGIN, include_in_schema=False)
    async def enter(request: Request) -> Response:
        body = await request.body()
        form = parse_qs(body[:_MAX_FORM_BYTES].decode("utf-8", "replace"))
        wanted = local_path(form.get("next", ["/"])[0])
        if settings.token is None:
            return RedirectResponse(wanted, 303)
        if not _same(form.get("token", [""])[0], settings.token):
            return render(request, "login.html", 401, next=wanted, wrong=True)
        response = RedirectResponse(wanted, 303)
        response.set_cookie(
            _COOKIE, _pass_of(settings.token), httponly=True, samesite="strict", path="/"
        )
        return response


def _refusal(request: Request, settings: Settings) -> Response | None:
    """What to answer instead; None lets the request through."""
    if settings.token is None:
        return None if _names_this_machine(request) else _misdirected(request)
    if request.url.path.startswith(_OPEN) or _knows(request, settings.token):
        return None
    if request.url.path.startswith("/api"):
        words = {
            "status": 401,
            "what": "A token is needed.",
            "advice": "Send it as a bearer token.",
        }
        return JSONResponse(words, 401, {"WWW-Authenticate": "Bearer"})
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{LOGIN}?next={quote(asked, safe='')}", 303)


def _knows(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _same(given.strip(), token)
    return _same(request.cookies.get(_COOKIE, ""), _pass_of(token))


def _pass_of(token: str) -> str:
    """What the cookie holds: it opens these pages and does not tell the token."""
    return hmac.new(token.encode(), b"cxr-factory browser", hashlib.sha256).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _names_this_machine(request: Request) -> bool:
    """Whether the address asked for is loopback: a page elsewhere may point its name here."""
    return is_loopback(_host_name(request.headers.get("host", "")))


def _host_name(host: str) -> str:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return name


def _misdirected(request: Request) -> Response:
    return JSONResponse(
        {
            "status": 421,
            "what": "This serves its own machine alone, by localhost or 127.0.0.1.",
            "advice": "Start cxr-factory browse with a token to serve others.",
        },
        421,
    )


def local_path(path: str | None) -> str:
    """A path of this site; anything else is the first page."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")):
        return "/"
    return path
