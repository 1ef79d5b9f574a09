"""The dashboard of a release: its page, each plot as a file, and all of them as JSON."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from browser.asking import Name, Number, library_of
from browser.dashboard.assembled import Dashboards
from browser.dashboard.plots import Plot, PlotData
from browser.dashboard.real import comparable_corpora, named_corpus
from browser.examples.searching import has_embeddings
from browser.problems import ProblemText, not_found
from browser.rendering import render

CorpusName = Annotated[
    str | None,
    Query(description="Real data to hold it against; without it the plan's own, empty for none."),
]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status.value: {"model": ProblemText}
    for status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
}
pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api", responses=_PROBLEMS)


@pages.get("/datasets/{name}/{number}/dashboard")
def dashboard(request: Request, name: Name, number: Number, corpus: CorpusName = None) -> Response:
    """Every plot of a release, with its data."""
    library = library_of(request)
    chosen = _chosen(request, name, corpus)
    return render(
        request,
        "dashboard.html",
        release=library.release(name, number),
        numbers=library.numbers(name),
        has_embeddings=has_embeddings(library, name),
        plots=_plots(request, name, number, corpus),
        corpora=comparable_corpora(library),
        corpus=chosen or "",
    )


@pages.get("/datasets/{name}/{number}/dashboard/{plot}.svg")
def picture(
    request: Request, name: Name, number: Number, plot: str, corpus: CorpusName = None
) -> Response:
    """One plot as a file."""
    found = _one(request, name, number, plot, corpus)
    return _file(found.svg, f"{name}-{number}-{plot}.svg", "image/svg+xml")


@pages.get("/datasets/{name}/{number}/dashboard/{plot}.csv")
def table(
    request: Request, name: Name, number: Number, plot: str, corpus: CorpusName = None
) -> Response:
    """The data of one plot as a file."""
    found = _one(request, name, number, plot, corpus)
    return _file(found.data.csv(), f"{name}-{number}-{plot}.csv", "text/csv; charset=utf-8")


@api.get("/datasets/{name}/releases/{number}/dashboard", summary="Its distributions and cost")
def dashboard_data(
    request: Request, name: Name, number: Number, corpus: CorpusName = None
) -> list[PlotData]:
    """What the plots of a release show, as tables."""
    return [plot.data for plot in _plots(request, name, number, corpus)]


def _plots(request: Request, name: str, number: int, corpus: str | None) -> list[Plot]:
    dashboards: Dashboards = request.app.state.dashboards
    return dashboards.plots(name, number, _chosen(request, name, corpus))


def _one(request: Request, name: str, number: int, plot: str, corpus: str | None) -> Plot:
    plots = _plots(request, name, number, corpus)
    found = next((one for one in plots if one.data.name == plot), None)
    if found is None:
        has = ", ".join(one.data.name for one in plots)
        raise not_found(f"This release has no plot {plot[:40]!r}.", f"It has {has}.")
    return found


def _chosen(request: Request, name: str, corpus: str | None) -> str | None:
    """The corpus asked for; that of the plan where none is asked for and it may be shown."""
    if corpus is not None:
        return corpus or None
    library = library_of(request)
    named = named_corpus(library, name)
    return named if named in comparable_corpora(library) else None


def _file(content: str, name: str, kind: str) -> Response:
    kept = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=kept)
