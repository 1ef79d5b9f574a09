"""The web application: its routes, its guard, and what it says when something is wrong."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from browser import agreement_page, api, blind_pages, pages, review_pages, slice_pages
from browser.access import Next, add_access
from browser.dashboard import pages as dashboard_pages
from browser.dashboard.assembled import Dashboards
from browser.examples import pages as example_pages
from browser.library import Library
from browser.problems import JSON, Problem, problem_of
from browser.rendering import FOLDER, remembered_pages, render
from browser.review_desk import Desk
from browser.settings import Settings
from storage.errors import FactoryError

log = logging.getLogger("cxr_factory.browser")


def create_app(settings: Settings) -> FastAPI:
    """The browser over one root.

    Raises:
        ValueError: If the root can be none.
    """
    app = FastAPI(
        title="CXR Factory browser",
        description="Datasets of synthetic chest X-ray image-report pairs. Not for clinical use.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        lifespan=_few_at_once,
    )
    app.state.library = library = Library(settings)
    app.state.desk = None
    app.state.pages = remembered_pages()
    app.state.dashboards = Dashboards(library)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    for beside in (dashboard_pages, example_pages):  # before those that take any name for a table
        app.include_router(beside.api)
        app.include_router(beside.pages)
    app.include_router(api.router)
    app.include_router(pages.router)
    if settings.reviewing is not None:
        app.state.desk = Desk(library.store, settings.reviewing.reviewer)
        for routes in (review_pages, agreement_page, slice_pages, blind_pages):
            app.include_router(routes.router)
    for kind in (Problem, FactoryError, ValueError):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.middleware("http")(_last_resort)
    add_access(app, settings)  # around all of it
    return app


@asynccontextmanager
async def _few_at_once(_: FastAPI) -> AsyncIterator[None]:
    """Answer few requests at the same time: more only take each other's cores and memory."""
    current_default_thread_limiter().total_tokens = max(4, 2 * (os.cpu_count() or 1))
    yield


async def _last_resort(request: Request, call_next: Next) -> Response:
    """What nobody expected is a page too, and its traceback is in the log."""
    try:
        return await call_next(request)
    except Exception as error:
        log.exception("%s %s", request.method, request.url.path)
        return _say(request, problem_of(error))


def _answer(request: Request, error: Exception) -> Response:
    """Any error as a page or as JSON, with one line in the log."""
    problem = problem_of(error)
    level = logging.ERROR if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
    log.log(level, "%s %s: %d %s", request.method, request.url.path, problem.status, error)
    return _say(request, problem)


def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    what = f"The address cannot be right: {where}: {first['msg']}."
    return _answer(request, Problem(HTTPStatus.NOT_FOUND, what, "Go back to the datasets."))


def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    what = f"{status.phrase}: {request.url.path}"
    answer = _answer(request, Problem(status, what, "Go back to the datasets."))
    answer.headers.update(error.headers or {})  # which methods there are, where one is none
    return answer


def _say(request: Request, problem: Problem) -> Response:
    words = {"status": problem.status.value, "what": problem.what, "advice": problem.advice}
    if request.url.path.startswith("/api") or request.headers.get("accept") == JSON:
        return JSONResponse(words, problem.status.value)
    return render(request, "problem.html", problem.status.value, problem=problem)
