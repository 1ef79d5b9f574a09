"""Search by example: more like this image, and images for a text."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from browser.asking import Name, Number, library_of
from browser.examples.searching import Found, Model, like_sample, like_text, models_of
from browser.grid import PAGE_SIZE
from browser.open_tables import OpenTable
from browser.problems import ProblemText
from browser.rendering import render
from storage.layout import Table

SampleAsked = Annotated[str, Query(description="A sample's id: more like its image.")]
TextAsked = Annotated[str, Query(description="Words: images that show what they say.")]
ModelName = Annotated[str, Query(description="Whose embeddings; empty for the first that fits.")]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": ProblemText} for code in (400, 401, 403, 404, 410, 503)
}
pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api", responses=_PROBLEMS)


@pages.get("/datasets/{name}/{number}/similar")
def similar_page(
    request: Request,
    name: Name,
    number: Number,
    sample: SampleAsked = "",
    text: TextAsked = "",
    model: ModelName = "",
) -> Response:
    """A form for a text, and what was found for it or for a sample's image."""
    opened = library_of(request).open(name, number, Table.PAIRS)
    models = models_of(library_of(request), name)
    chosen = _chosen(models, opened, model, text)
    return render(
        request,
        "similar.html",
        opened=opened,
        models=models,
        sample=sample,
        text=text,
        model=chosen,
        found=_search(request, opened, chosen, sample, text),
    )


@api.get("/datasets/{name}/releases/{number}/similar", summary="Search by example")
def similar(
    request: Request,
    name: Name,
    number: Number,
    sample: SampleAsked = "",
    text: TextAsked = "",
    model: ModelName = "",
) -> Found | None:
    """Samples like another one's image or like a text; null where nothing is asked for."""
    opened = library_of(request).open(name, number, Table.PAIRS)
    chosen = _chosen(models_of(library_of(request), name), opened, model, text)
    return _search(request, opened, chosen, sample, text)


def _chosen(models: list[Model], opened: OpenTable, model: str, text: str) -> str:
    """The model asked for, or one that embeds what is asked for, of this release before others."""
    if model:
        return model
    fit = [one for one in models if one.embeds_texts or not text]
    fit.sort(key=lambda one: (one.release != opened.release.release_id, not one.embeds_texts))
    return fit[0].name if fit else ""


def _search(
    request: Request, opened: OpenTable, model: str, sample: str, text: str
) -> Found | None:
    if sample and text:
        raise ValueError("expected a sample or a text to search by, got both; leave one out")
    library = library_of(request)
    if not model and not (sample or text):
        return None
    if sample:
        return like_sample(library, opened, model, sample, PAGE_SIZE)
    return like_text(library, opened, model, text, PAGE_SIZE) if text else None
