"""The pages that people see. What they show comes from the modules that `/api` stands on too."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from browser.asking import (
    After,
    Asked,
    Name,
    Number,
    SampleId,
    TableName,
    ask,
    desk_of,
    library_of,
    open_asked,
)
from browser.beside import beside
from browser.catalogue import (
    compare_releases,
    dataset_summary,
    list_datasets,
    list_releases,
    plan_text,
)
from browser.corpora import list_corpora
from browser.examples.searching import has_embeddings
from browser.grid import PAGE_SIZE, card_page, counted, facet_counts
from browser.images import PNG_START, image_png, mask_png
from browser.library import SHOWN
from browser.nearest_real import real_image
from browser.problems import not_found
from browser.rendering import render, render_once
from browser.review_forms import bar_of
from browser.sample_page import sample_detail

router = APIRouter(include_in_schema=False)
_PICTURE = {"Cache-Control": "private, max-age=86400, immutable"}  # a release never changes
_TOP_VALUES, _ALL_VALUES = 10, 20_000  # beside the grid; on a facet's own page
_FRAGMENT = "X-Fragment"  # the script asks for cards alone


@dataclass(frozen=True, slots=True)
class _Around:
    """What a page of a release shows of its dataset, which may change meanwhile.

    Attributes:
        numbers: Of all its releases.
    """

    numbers: tuple[int, ...]
    has_embeddings: bool


@router.get("/")
def datasets(request: Request) -> Response:
    """Every dataset under the root."""
    library = library_of(request)
    return render(
        request, "datasets.html", datasets=list_datasets(library), root=library.store.root
    )


@router.get("/corpora")
def corpora(request: Request) -> Response:
    """Every corpus under the root."""
    return render(request, "corpora.html", corpora=list_corpora(library_of(request)))


@router.get("/corpora/{corpus}/image")
def corpus_image(request: Request, corpus: str, image_id: str) -> Response:
    """A real image, beside the sample that is nearest to it."""
    data = real_image(library_of(request), corpus, image_id)
    kind = "image/png" if data.startswith(PNG_START) else "image/jpeg"
    return Response(data, media_type=kind)


@router.get("/datasets/{name}")
def dataset(request: Request, name: Name) -> Response:
    """A dataset: its releases, or how far it has come."""
    library = library_of(request)
    library.layout(name)
    releases = list_releases(library, name)
    summary = dataset_summary(library, name)
    plan = plan_text(library, name) if summary.shown else ""
    return render(
        request,
        "dataset.html",
        dataset=summary,
        releases=releases,
        plan=plan,
        reviewing=desk_of(request) is not None,
    )


@router.get("/datasets/{name}/changes")
def changes(request: Request, name: Name, before: int, after: int) -> Response:
    """What changed between two releases."""
    library = library_of(request)
    comparison = compare_releases(library, name, before, after)
    numbers = library.numbers(name)
    return render(request, "changes.html", name=name, changes=comparison, numbers=numbers)


@router.get("/datasets/{name}/newest/{table}")
def newest(request: Request, name: Name, table: TableName) -> Response:
    """A table of the newest release, filtered alike: what links that outlive a release name."""
    release = library_of(request).newest(name)
    opened = open_asked(request, name, release.number, table)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/datasets/{name}/{release.number}/{opened.table}{query}", 307)


@router.get("/datasets/{name}/{number}")
def release(name: Name, number: Number) -> Response:
    """A release begins with its pairs."""
    return RedirectResponse(f"/datasets/{name}/{number}/pairs", 307)


@router.get("/datasets/{name}/{number}/{table}")
def grid(
    request: Request, name: Name, number: Number, table: TableName, after: After = None
) -> Response:
    """Cards of a table with facets, scores and search; only the next cards where a script asks."""
    asked = ask(request, name, number, table)
    around = _around(request, name)
    template = "cards.html" if request.headers.get(_FRAGMENT) else "grid.html"
    if desk_of(request) is not None:  # decisions change, and each page names its posts
        return render(request, template, **_grid(request, asked, after, around))
    key = (asked.opened.key, asked.filters, after, around)
    return render_once(request, template, key, lambda: _grid(request, asked, after, around))


@router.get("/datasets/{name}/{number}/{table}/values/{facet}")
def values(request: Request, name: Name, number: Number, table: TableName, facet: str) -> Response:
    """Every value of one facet, to choose from."""
    asked = ask(request, name, number, table)
    found = next((one for one in asked.opened.facets if one.name == facet), None)
    if found is None:
        raise not_found(f"There is no facet {facet[:40]!r}.", "See those beside the samples.")
    counts = facet_counts(asked.opened, found, asked.filters, _ALL_VALUES)
    return render(request, "values.html", asked=asked, facet=counts)


@router.get("/datasets/{name}/{number}/{table}/{sample_id}")
def sample(
    request: Request, name: Name, number: Number, table: TableName, sample_id: SampleId
) -> Response:
    """All of one sample."""
    library = library_of(request)
    opened = open_asked(request, name, number, table)
    detail = sample_detail(library, opened, sample_id)
    bar = bar_of(request, name, [sample_id])
    return render(
        request,
        "sample.html",
        opened=opened,
        sample=detail,
        prefect_url=library.settings.prefect_url,
        has_embeddings=has_embeddings(library, name),
        bar=bar,
        beside=None if bar is None else beside(ask(request, name, number, table), sample_id),
    )


@router.get("/datasets/{name}/{number}/{table}/{sample_id}/image.png")
def image(
    request: Request, name: Name, number: Number, table: TableName, sample_id: SampleId
) -> Response:
    """The full image."""
    data = image_png(open_asked(request, name, number, table), sample_id)
    return Response(data, media_type="image/png", headers=_PICTURE)


@router.get("/datasets/{name}/{number}/{table}/{sample_id}/mask-{mask}.png")
def mask(
    request: Request,
    name: Name,
    number: Number,
    table: TableName,
    sample_id: SampleId,
    mask: int,
) -> Response:
    """One mask as a veil to lay over the image."""
    data = mask_png(open_asked(request, name, number, table), sample_id, mask)
    return Response(data, media_type="image/png", headers=_PICTURE)


def _around(request: Request, name: str) -> _Around:
    library = library_of(request)
    return _Around(tuple(library.numbers(name)), has_embeddings(library, name))


def _grid(request: Request, asked: Asked, after: int | None, around: _Around) -> dict[str, Any]:
    """What the page of a table needs; its cards alone are part of that."""
    page = card_page(asked.opened, asked.filters, after, PAGE_SIZE)
    return {
        "asked": asked,
        "page": page,
        "counted": counted(asked.opened, asked.filters, _TOP_VALUES),
        "numbers": around.numbers,
        "has_embeddings": around.has_embeddings,
        "tables": [str(one) for one in SHOWN],
        "first": after is None,
        "bar": bar_of(request, asked.opened.release.dataset, [one.sample_id for one in page.cards]),
    }
